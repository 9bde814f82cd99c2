/**
 * Runs ipvsadm without a process: takes arguments and a director's interface, returns text and an exit
 * status.
 */
import type { DirectorApi, Outcome } from '../control/director-api.ts';
import type { Command, SyncDaemon } from '../model/command.ts';
import type { ServiceAddress } from '../model/service.ts';
import { listConnections } from './connections.ts';
import { HELP, VERSION } from './help.ts';
import { restoreLines } from './lines.ts';
import { listServices } from './list.ts';
import type { Names } from './names.ts';
import type { OptionName } from './options.ts';
import { FAILED, LIST_FAILED, Refusal, tryHelp, wordsFor } from './refusal.ts';
import { parseRequest, type Request } from './request.ts';
import { saveRules } from './rules.ts';
import { endpointText } from './text.ts';

/** The environment of ipvsadm. */
export interface Surroundings {
  readonly api: DirectorApi;
  readonly names: Names;
  readonly stdin: () => AsyncIterable<string> | Iterable<string>;
  /** Resolves when the reader accepts more. */
  readonly stdout: (text: string) => void | Promise<void>;
  readonly stderr: (text: string) => void;
}

/** Number of commands of -R that are sent together. */
const BATCH_COMMANDS = 500;

/**
 * Executes one command line, and returns its exit status. Throws an LvsError when the director cannot be
 * reached.
 */
export async function runIpvsadm(argv: readonly string[], at: Surroundings): Promise<number> {
  try {
    const request: Request =
      argv.length === 0 ? { kind: 'list', given: new Set() } : await parseRequest(argv, at.names);
    return request.kind === 'restore' ? await restore(at) : await carryOut(request, at);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    at.stderr(`${error.message}\n`);
    return error.status;
  }
}

async function carryOut(request: Exclude<Request, { kind: 'restore' }>, at: Surroundings): Promise<number> {
  switch (request.kind) {
    case 'apply':
      return report((await at.api.apply([request.command]))[0], request.command, at);
    case 'list':
      return await list(request.given, request.service, at);
    case 'save': {
      const rules = saveRules(
        await at.api.snapshot({ services: true }),
        endpointText(request.numeric, at.names),
      );
      await print(rules, at);
      return 0;
    }
    case 'help':
      await at.stdout(HELP);
      return 0;
    case 'version':
      await at.stdout(VERSION);
      return 0;
    default:
      return request satisfies never;
  }
}

function report(outcome: Outcome, command: Command, at: Surroundings): number {
  if (outcome === undefined) return 0;
  at.stderr(`${wordsFor(outcome.code, outcome.message, command)}\n`);
  return FAILED;
}

/**
 * -R: executes each line as a command line. An error of the director or of popt fails its line only. An
 *  invalid line, a failed listing, help and version end the run. Returns the status of the last line.
 */
async function restore(at: Surroundings): Promise<number> {
  let status = 0;
  let batch: Command[] = [];
  const flush = async () => {
    const commands = batch;
    batch = [];
    const outcomes = commands.length > 0 ? await at.api.apply(commands) : [];
    for (const [i, outcome] of outcomes.entries()) status = report(outcome, commands[i]!, at);
  };
  for await (const lines of restoreLines(at.stdin())) {
    for (const words of lines) {
      const request = await restoredRequest(words, at, flush);
      if (typeof request === 'number') {
        status = request;
      } else if (request.kind === 'apply') {
        batch.push(request.command);
        if (batch.length >= BATCH_COMMANDS) await flush();
      } else {
        await flush();
        status = await carryOut(request, at);
        if (request.kind === 'help' || request.kind === 'version' || status === LIST_FAILED) return status;
      }
    }
    await flush(); // the writer may wait for the result before the next line
  }
  return status;
}

/** Returns a line's request, or the status of a failed line. Executes the previous commands first. */
async function restoredRequest(
  words: readonly string[],
  at: Surroundings,
  flush: () => Promise<void>,
): Promise<Exclude<Request, { kind: 'restore' }> | number> {
  try {
    const request = await parseRequest(words, at.names);
    if (request.kind === 'restore') throw tryHelp();
    return request;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    await flush();
    if (!error.passing) throw error;
    at.stderr(`${error.message}\n`);
    return error.status;
  }
}

async function list(
  given: ReadonlySet<OptionName>,
  service: ServiceAddress | undefined,
  at: Surroundings,
): Promise<number> {
  const text = endpointText(given.has('numeric'), at.names);
  if (given.has('connection')) {
    await print(listConnections(at.api.connections(), given.has('persistent-conn'), text), at);
    return 0;
  }
  if (given.has('timeout') || given.has('daemon')) {
    const { timeouts, daemons } = await at.api.snapshot({});
    if (given.has('timeout'))
      await at.stdout(`Timeout (tcp tcpfin udp): ${timeouts.tcp} ${timeouts.tcpFin} ${timeouts.udp}\n`);
    else for (const role of ['master', 'backup']) await at.stdout(daemonText(daemons, role));
    return 0;
  }
  const snapshot = await at.api.snapshot({ services: service ?? true });
  if (service && snapshot.services.length === 0) throw new Refusal('No such service', LIST_FAILED);
  await print(listServices(snapshot, given, text), at);
  return 0;
}

function daemonText(daemons: readonly SyncDaemon[], role: string): string {
  const daemon = daemons.find((each) => each.role === role);
  if (daemon === undefined) return '';
  const { maxLength, group, port, ttl } = daemon;
  const rest = [
    maxLength !== undefined && `, maxlen=${maxLength}`,
    group !== undefined && `, group=${group}`,
    port !== undefined && `, port=${port}`,
    ttl !== undefined && `, ttl=${ttl}`,
  ].filter((part) => typeof part === 'string');
  return `${role} sync daemon (mcast=${daemon.interface}, syncid=${daemon.syncId}${rest.join('')})\n`;
}

async function print(parts: AsyncIterable<string>, at: Surroundings): Promise<void> {
  for await (const part of parts) await at.stdout(part);
}

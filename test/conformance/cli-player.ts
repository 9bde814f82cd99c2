/** Plays recordings of ipvsadm's command lines against our ipvsadm and director, and tells each answer that differs. */
import { readFileSync } from 'node:fs';
import type { DirectorApi } from '../../src/control/director-api.ts';
import {
  PROC_APPLICATIONS,
  PROC_CONNECTIONS_HEAD,
  procConnection,
  procServices,
  procStats,
  procStatsPerCpu,
} from '../../src/control/procfs.ts';
import type { Names } from '../../src/ipvsadm/names.ts';
import { servicesOf } from '../../src/ipvsadm/names.ts';
import { runIpvsadm, type Surroundings } from '../../src/ipvsadm/run.ts';
import { runRestore, runSave } from '../../src/ipvsadm/scripts.ts';
import type { Command, MarkRule } from '../../src/model/command.ts';
import { DEFAULT_SETTINGS, type SettingName } from '../../src/model/settings.ts';
import { localApi } from '../../src/runtime/local-director.ts';
import { captured } from '../support/ipvsadm.ts';
import { compareText, type Difference } from './compare.ts';
import { Shell, type ShellAnswer } from './shell.ts';
import { WireEnds } from './wire-ends.ts';
import { integer, parseWords, type Words } from './words.ts';
import { World } from './world.ts';

/** One command line of a recording, and the kernel's answer; what is not recorded of it is not compared. */
export interface CliStep {
  readonly group: string;
  readonly cmd: string;
  readonly stdin?: string;
  readonly rc: number;
  readonly stdout?: string;
  readonly stderr?: string;
}

export interface CliFailure {
  readonly group: string;
  /** Place in the group, from 0. */
  readonly step: number;
  readonly cmd: string;
  readonly what: string;
}

export interface CliScore {
  readonly passed: number;
  readonly failed: number;
}

/** Plays a file and prints `ok` or `FAIL` for each command line. */
export async function playCli(
  path: string,
  print: (line: string) => void = (line) => process.stdout.write(`${line}\n`),
): Promise<CliScore> {
  const steps = readCli(path);
  const failures = await cliFailures(steps);
  const places = new Map<string, number>();
  for (const { group, cmd } of steps) {
    const step = places.get(group) ?? 0;
    places.set(group, step + 1);
    const failure = failures.find((each) => each.group === group && each.step === step);
    const name = `${group} step ${step} «${cmd}»`;
    print(failure ? `FAIL ${name}: ${failure.what}` : `ok ${name}`);
  }
  return { passed: steps.length - failures.length, failed: failures.length };
}

/** The command lines of a file. Throws for what is none, and says which. */
export const readCli = (path: string): CliStep[] =>
  [JSON.parse(readFileSync(path, 'utf8')) as unknown].flat().map(stepOf);

function stepOf(value: unknown, place: number): CliStep {
  const step = { group: '', ...(value as Partial<CliStep>) };
  const texts = [step.group, step.cmd, step.stdin ?? '', step.stdout ?? '', step.stderr ?? ''];
  if (texts.every((text) => typeof text === 'string') && Number.isInteger(step.rc)) return step as CliStep;
  throw new Error(`command line ${place}: cmd, stdin, stdout and stderr are texts, rc is a whole number`);
}

/** Each group begins with nothing and goes on after a failure. */
export async function cliFailures(steps: readonly CliStep[]): Promise<CliFailure[]> {
  const failures: CliFailure[] = [];
  for (const group of new Set(steps.map((step) => step.group))) {
    const player = new CliPlayer();
    for (const [step, command] of steps.filter((each) => each.group === group).entries()) {
      const what = await player.step(command);
      if (what !== undefined) failures.push({ group, step, cmd: command.cmd, what });
    }
  }
  return failures;
}

/** /etc/hosts of the recordings. */
const HOSTS: readonly (readonly [address: string, name: string])[] = [
  ['127.0.0.1', 'localhost'],
  ['10.9.0.1', 'vip1.example'],
  ['10.1.0.11', 'rs1.example'],
  ['fd09::1', 'vip6.example'],
  ['fd01::11', 'rs6.example'],
];

const names: Names = {
  ...servicesOf(readFileSync('/etc/services', 'utf8')),
  hostAddress: (name) =>
    HOSTS.find(([address, host]) => host === name.toLowerCase() && !address.includes(':'))?.[0],
  hostName: (address) => HOSTS.find((each) => each[0] === address)?.[1],
};

/** MTU of the network interfaces of the recordings' host, octets. */
const INTERFACES: Readonly<Record<string, number>> = { lo: 65_536, clan: 1500, rlan: 1500 };

/** ms of the clock when a group begins, and what a command line of the recordings took. */
const START = 4000;
/** ms before a group's begin in which the estimator's ticks began. */
const ESTIMATOR_LEAD = 1994;
const COMMAND_TIME = 100;

/** Schedulers that the recorded kernel was built without. */
const NOT_BUILT = ['twos'];

const DONE: ShellAnswer = { rc: 0, stdout: '', stderr: '' };

class CliPlayer {
  readonly #world = new World({}, START, ESTIMATOR_LEAD);
  readonly #ends = new WireEnds((_from, octets) => this.#world.receive(octets));
  readonly #api: DirectorApi;
  readonly #marks: MarkRule[] = [];
  readonly #shell = new Shell((argv, stdin) => this.#external(argv, stdin));

  constructor() {
    const api = localApi(this.#world.director, {
      now: () => this.#world.now,
      mtu: (name) => INTERFACES[name],
    });
    this.#api = { ...api, apply: async (commands) => await api.apply(commands.map(asBuilt)) };
  }

  async step({ cmd, stdin, rc, stdout, stderr }: CliStep): Promise<Difference> {
    let got: ShellAnswer;
    try {
      got = await this.#run(cmd, stdin ?? '');
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
    if (got.rc !== rc) return `expected rc ${rc} got ${got.rc} ${got.stderr}`;
    if (stderr !== undefined && got.stderr !== stderr) return `stderr: ${compareText(stderr, got.stderr)}`;
    if (stdout === undefined) return undefined;
    if (stdout.trim() === '(usage text)') return got.stdout.includes('Usage:') ? undefined : 'no usage text';
    if (cmd.includes('ip_vs_stats_percpu')) return undefined; // a processor of the recorded host counts ahead
    const isHashOrder = /--nosort|\/proc\/net\/ip_vs\b(?!_)/.test(`${cmd}\n${stdin}`);
    return isHashOrder ? compareText(blocks(stdout), blocks(got.stdout)) : compareText(stdout, got.stdout);
  }

  /** Steps that are no command lines change the host around the director: they answer nothing. */
  async #run(cmd: string, stdin: string): Promise<ShellAnswer> {
    const blank = cmd.indexOf(' ');
    const word = blank < 0 ? cmd : cmd.slice(0, blank);
    const rest = blank < 0 ? '' : cmd.slice(blank + 1);
    const words = parseWords(rest);
    switch (word) {
      case 'note':
        return DONE;
      case 'sleep':
        this.#world.advance(this.#world.now + integer(rest, 0) * 1000);
        return DONE;
      case 'mark':
        this.#mark(words);
        return DONE;
      case 'sysctl':
        this.#sysctl(rest);
        return DONE;
    }
    const packets = this.#ends.bulk(word, words.options) ?? this.#ends.step(word, words);
    if (packets !== undefined) return DONE;
    const line = word === 'sh' ? rest : word === 'conns' ? 'ipvsadm -Lnc' : cmd;
    const answer = await this.#shell.run(line, stdin);
    this.#world.advance(this.#world.now + COMMAND_TIME);
    return answer;
  }

  #mark({ positions, options: { daddr, proto, dport } }: Words): void {
    this.#marks.push({
      mark: integer(positions[0], 0),
      ...(daddr !== undefined && { to: daddr }),
      ...((proto ?? dport) !== undefined && { protocol: (proto ?? 'tcp') as 'tcp' | 'udp' }),
      ...(dport !== undefined && { port: Number(dport) }),
    });
    this.#world.director.apply({ op: 'set-marks', rules: this.#marks }, this.#world.now);
  }

  #sysctl(assignment: string): void {
    const [, name, value] = /^net[./]ipv4[./]vs[./](\w+) *= *(-?\d+)/.exec(assignment) ?? [];
    if (name === undefined || !(name in DEFAULT_SETTINGS)) return;
    const command = { op: 'set', name: name as SettingName, value: Number(value) } as const;
    this.#world.director.apply(command, this.#world.now);
  }

  #external(argv: readonly string[], stdin: string): Promise<ShellAnswer | undefined> | undefined {
    const [name, ...rest] = argv;
    switch (name) {
      case 'ipvsadm':
        return this.#captured(stdin, (at) => runIpvsadm(rest, at));
      case 'ipvsadm-save':
        return this.#captured(stdin, (at) => runSave(rest, at));
      case 'ipvsadm-restore':
        return this.#captured(stdin, (at) => runRestore([], at));
      case 'cat':
        return this.#captured(stdin, (at) => this.#cat(rest[0] ?? '', at));
      case 'sleep':
        this.#world.advance(this.#world.now + Number(rest[0]) * 1000);
        return Promise.resolve(DONE);
    }
    return undefined;
  }

  async #captured(stdin: string, run: (at: Surroundings) => Promise<number>): Promise<ShellAnswer> {
    const { status, ...printed } = await captured({ api: this.#api, names, stdin }, run);
    return { rc: status, ...printed };
  }

  async #cat(path: string, at: Surroundings): Promise<number> {
    const text = await procText(path, this.#api);
    if (text === undefined) throw new Error(`there is no ${path}`);
    await at.stdout(text);
    return 0;
  }
}

/** A file of /proc/net as the director has it; undefined: there is none. */
export async function procText(path: string, api: DirectorApi): Promise<string | undefined> {
  const snapshot = await api.snapshot({ services: true });
  switch (path) {
    case '/proc/net/ip_vs':
      return [...procServices(snapshot)].join('');
    case '/proc/net/ip_vs_stats':
      return procStats(snapshot);
    case '/proc/net/ip_vs_stats_percpu':
      return procStatsPerCpu(snapshot);
    case '/proc/net/ip_vs_app':
      return PROC_APPLICATIONS;
    case '/proc/net/ip_vs_conn': {
      let text = PROC_CONNECTIONS_HEAD;
      for await (const chunk of api.connections()) text += chunk.map(procConnection).join('');
      return text;
    }
  }
  return undefined;
}

function asBuilt(command: Command): Command {
  if (!('options' in command) || !('scheduler' in command.options)) return command;
  if (!NOT_BUILT.includes(command.options.scheduler)) return command;
  return { ...command, options: { ...command.options, scheduler: 'not built' } } as Command;
}

/** A listing whose services are in the order of their text: the kernel's is that of its hash tables. */
function blocks(text: string): string {
  const [head = '', ...services] = text.split(/\n(?=TCP|UDP|SCTP|FWM)/);
  const ended = services.map((service) => service.replace(/\n$/, ''));
  return [head.replace(/\n$/, ''), ...ended.sort()].join('\n');
}

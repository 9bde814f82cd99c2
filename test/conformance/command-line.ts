/** The steps that are command lines: ipvsadm itself against the director of the recording, and the files under /proc. */
import { readFileSync } from 'node:fs';
import { listConnections } from '../../src/cli/ipvsadm-connections.ts';
import { listServices } from '../../src/cli/ipvsadm-list.ts';
import { type Names, servicesOf } from '../../src/cli/ipvsadm-names.ts';
import { Refusal, wordsFor } from '../../src/cli/ipvsadm-refusal.ts';
import { parseRequest } from '../../src/cli/ipvsadm-request.ts';
import { saveRules } from '../../src/cli/ipvsadm-rules.ts';
import { endpointText } from '../../src/cli/ipvsadm-text.ts';
import { localDoor } from '../../src/control/local-door.ts';
import type { Director } from '../../src/director/director.ts';

export interface Answer {
  readonly rc: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** /etc/hosts of the recordings. */
const HOSTS: Readonly<Record<string, string>> = {
  '127.0.0.1': 'localhost',
  '10.9.0.1': 'vip1.example',
  '10.1.0.11': 'rs1.example',
  'fd09::1': 'vip6.example',
  'fd01::11': 'rs6.example',
};

const names: Names = {
  ...servicesOf(readFileSync('/etc/services', 'utf8')),
  hostAddress: (name) =>
    Object.entries(HOSTS).find(([address, host]) => host === name && !address.includes(':'))?.[0],
  hostName: (address) => HOSTS[address],
};

async function textOf(parts: AsyncIterable<string>): Promise<string> {
  let text = '';
  for await (const part of parts) text += part;
  return text;
}

export async function ipvsadm(
  argv: readonly string[],
  _stdin: string,
  director: Director,
  now: number,
): Promise<Answer> {
  const door = localDoor(director, { now: () => now });
  try {
    const request = await parseRequest(argv, names);
    const done = (stdout: string): Answer => ({ rc: 0, stdout, stderr: '' });
    switch (request.kind) {
      case 'apply': {
        const [outcome] = await door.apply([request.command]);
        if (!outcome) return done('');
        return {
          rc: 255,
          stdout: '',
          stderr: `${wordsFor(outcome.code, outcome.message, request.command)}\n`,
        };
      }
      case 'save':
        return done(
          await textOf(
            saveRules(await door.snapshot({ services: true }), endpointText(request.numeric, names)),
          ),
        );
      case 'list': {
        const text = endpointText(request.given.has('numeric'), names);
        if (request.given.has('connection'))
          return done(
            await textOf(listConnections(door.connections(), request.given.has('persistent-conn'), text)),
          );
        const snapshot = await door.snapshot({ services: request.service ?? true });
        if (request.given.has('timeout')) {
          const { tcp, tcpFin, udp } = snapshot.timeouts;
          return done(`Timeout (tcp tcpfin udp): ${tcp} ${tcpFin} ${udp}\n`);
        }
        return done(await textOf(listServices(snapshot, request.given, text)));
      }
      default:
        return { rc: 255, stdout: '', stderr: `${request.kind} is not played yet` };
    }
  } catch (error) {
    if (error instanceof Refusal) return { rc: error.status, stdout: '', stderr: `${error.message}\n` };
    throw error;
  }
}

/** A file under /proc as the director has it; undefined: there is none. */
export async function procText(path: string, director: Director, now: number): Promise<string | undefined> {
  const setting = /^\/proc\/sys\/net\/ipv4\/vs\/(\w+)$/.exec(path)?.[1];
  if (setting === undefined) return undefined;
  const value = (director.snapshot(now).settings as Readonly<Record<string, number>>)[setting];
  return value === undefined ? undefined : `${value}\n`;
}

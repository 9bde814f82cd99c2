/** The steps that are command lines: ipvsadm itself against the director of the recording, and the files under /proc. */
import { readFileSync } from 'node:fs';
import {
  PROC_APPLICATIONS,
  PROC_CONNECTIONS_HEAD,
  PROC_ORIGINS_HEAD,
  procConnection,
  procOrigin,
  procServices,
  procStats,
} from '../../src/control/procfs.ts';
import type { Director } from '../../src/director/director.ts';
import { type Names, servicesOf } from '../../src/ipvsadm/names.ts';
import { runIpvsadm } from '../../src/ipvsadm/run.ts';
import type { ConnectionSnapshot } from '../../src/model/snapshot.ts';
import { localApi } from '../../src/runtime/local-director.ts';
import { captured } from '../support/ipvsadm.ts';
import { split } from './words.ts';

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

/** MTU of the recordings' network interfaces, octets. */
const INTERFACES: Readonly<Record<string, number>> = { lo: 65_536, clan: 1500, rlan: 1500, syn0: 1500 };

/** Runs a line of one ipvsadm or several, joined as in a shell by `|`, `;` or `&&`. */
export async function commandLine(
  line: string,
  stdin: string,
  director: Director,
  now: number,
): Promise<Answer> {
  const parts = line.split(/ (\||;|&&) /);
  let last: Answer = { rc: 0, stdout: '', stderr: '' };
  let stdout = '';
  let stderr = '';
  for (let i = 0; i < parts.length; i += 2) {
    const [word, ...argv] = split(parts[i]!);
    if (word !== 'ipvsadm') return { rc: 127, stdout: '', stderr: `${word}: not played\n` };
    const isPiped = parts[i - 1] === '|';
    if (parts[i - 1] === '&&' && last.rc !== 0) break;
    last = await ipvsadm(argv, isPiped ? last.stdout : i === 0 ? stdin : '', director, now);
    if (parts[i + 1] !== '|') stdout += last.stdout;
    stderr += last.stderr;
  }
  return { rc: last.rc, stdout, stderr };
}

async function ipvsadm(
  argv: readonly string[],
  stdin: string,
  director: Director,
  now: number,
): Promise<Answer> {
  const api = localApi(director, { now: () => now, mtu: (name) => INTERFACES[name] });
  const { status, ...printed } = await captured({ api, names, stdin }, (at) => runIpvsadm(argv, at));
  return { rc: status, ...printed };
}

/** A file under /proc as the director has it; undefined: there is none. */
export async function procText(path: string, director: Director, now: number): Promise<string | undefined> {
  const snapshot = director.snapshot(now);
  const connections = (line: (connection: ConnectionSnapshot) => string): string =>
    [...director.connections(now)].map(line).join('');
  switch (path) {
    case '/proc/net/ip_vs':
      return [...procServices(snapshot)].join('');
    case '/proc/net/ip_vs_conn':
      return PROC_CONNECTIONS_HEAD + connections(procConnection);
    case '/proc/net/ip_vs_conn_sync':
      return PROC_ORIGINS_HEAD + connections(procOrigin);
    case '/proc/net/ip_vs_app':
      return PROC_APPLICATIONS;
    case '/proc/net/ip_vs_stats':
      return procStats(snapshot);
  }
  const setting = /^\/proc\/sys\/net\/ipv4\/vs\/(\w+)$/.exec(path)?.[1];
  if (setting === undefined) return undefined;
  const { settings } = snapshot;
  if (setting === 'sync_threshold') return `${settings.sync_threshold}\t${settings.sync_period}\n`;
  const value = (settings as Readonly<Record<string, number>>)[setting];
  return value === undefined ? undefined : `${value}\n`;
}

/** What fails and returns, step by step, while keepalived, ldirectord or the director checks the servers. */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT } from '../project.ts';
import type { Answers } from './controlled-server.ts';

export type Original = 'keepalived' | 'ldirectord';

/** The real servers, the last of which is the sorry server. */
export const SERVERS = {
  web1: '192.168.0.3',
  web2: '192.168.0.4',
  web3: '192.168.0.5',
  sorry: '192.168.0.6',
};
export type ServerName = keyof typeof SERVERS;

/** One change. */
export interface Step {
  readonly name: string;
  readonly server?: ServerName;
  readonly answers?: Partial<Answers>;
  /** Exit status of database.sh for the server. */
  readonly database?: number;
}

/** What the rules are and which programs were run, after a step has settled. */
export interface Settled {
  readonly step: string;
  /** As `ipvsadm -Ln` has them, without counts, the destinations of each service in order. */
  readonly rules: readonly string[];
  /** Arguments of notify.sh since the step before, in order. */
  readonly events: readonly string[];
}

const step = (name: string, server: ServerName, answers: Partial<Answers>): Step => ({
  name,
  server,
  answers,
});
const database = (name: string, server: ServerName, status: number): Step => ({
  ...{ name, server, database: status },
});
const dies = (server: ServerName) => step(`${server} dies`, server, { isOn: false });
const returns = (server: ServerName) => step(`${server} returns`, server, { isOn: true });

export const STEPS: Readonly<Record<Original, readonly Step[]>> = {
  keepalived: [
    { name: 'all work' },
    step('a page of web1 has status 503', 'web1', { status: 503 }),
    step('the page of web1 has status 200', 'web1', { status: 200 }),
    step('the page of web2 has status 204', 'web2', { status: 204 }),
    step('the page of web2 has status 200', 'web2', { status: 200 }),
    step('a page of web1 has another digest', 'web1', { version: 'version 8' }),
    step('a page of web1 has the digest', 'web1', { version: 'version 7' }),
    dies('web3'),
    dies('web1'),
    dies('web2'),
    returns('web2'),
    returns('web3'),
    returns('web1'),
    step('web1 answers without TLS', 'web1', { certificate: 'none' }),
    step('web1 answers with TLS', 'web1', { certificate: 'known' }),
    step('web1 has an unknown certificate', 'web1', { certificate: 'unknown' }),
    step('mail of web2 is refused', 'web2', { greeting: '421 too busy' }),
    step('mail of web2 is accepted', 'web2', { greeting: '220 mail.example.com ESMTP' }),
    database('the database of web2 fails', 'web2', 1),
    database('the database of web2 works', 'web2', 0),
    database('the database of web3 asks for weight 10', 'web3', 12),
    database('the database of web3 asks for weight 0', 'web3', 2),
    database('the database of web3 fails', 'web3', 1),
    database('the database of web3 works', 'web3', 0),
  ],
  ldirectord: [
    { name: 'all work' },
    step('a page of web1 does not match', 'web1', { alive: 'broken' }),
    step('the page of web1 matches', 'web1', { alive: 'ready' }),
    step('a page of web2 matches another branch', 'web2', { alive: 'standby' }),
    step('the page of web2 is as before', 'web2', { alive: 'ready' }),
    step('a page of web1 has status 503', 'web1', { status: 503 }),
    dies('web2'),
    step('the page of web1 has status 200', 'web1', { status: 200 }),
    returns('web2'),
    step('web1 answers without TLS', 'web1', { certificate: 'none' }),
    step('web1 answers with TLS', 'web1', { certificate: 'known' }),
    step('mail of web1 is refused', 'web1', { greeting: '421 too busy' }),
    step('mail of web1 is accepted', 'web1', { greeting: '220 mail.example.com ESMTP' }),
    database('the database of web2 fails', 'web2', 1),
    database('the database of web3 fails', 'web3', 1),
    database('the database of web2 works', 'web2', 0),
    database('the database of web3 works', 'web3', 0),
    dies('web3'),
    returns('web3'),
  ],
};

const FIXTURES = join(PROJECT, 'test/fixtures/outages');
const FILES = { keepalived: 'keepalived.conf', ldirectord: 'ldirectord.cf' };
/** The folder that the configurations name. */
const NAMED_FOLDER = '/etc/lvs';

export const recordingOf = (original: Original): string => join(FIXTURES, `${original}.json`);

export const recorded = (original: Original): Settled[] =>
  JSON.parse(readFileSync(recordingOf(original), 'utf8')) as Settled[];

/** Writes the configuration and its scripts to a folder; returns the path of the configuration. */
export function writeOutageFiles(original: Original, folder: string): string {
  mkdirSync(folder, { recursive: true });
  const text = readFileSync(join(FIXTURES, FILES[original]), 'utf8').replaceAll(NAMED_FOLDER, folder);
  const config = join(folder, FILES[original]);
  writeFileSync(config, text, { mode: 0o600 });
  const script = (name: string, line: string) => {
    writeFileSync(join(folder, name), `#!/bin/sh\n${line}\n`);
    chmodSync(join(folder, name), 0o755);
  };
  script('notify.sh', `echo "$@" >> ${folder}/events`);
  // ldirectord passes the virtual server first.
  const server = original === 'keepalived' ? '$1' : '$3';
  script('database.sh', `echo ${server} >> ${folder}/checked\nexit $(cat ${folder}/database-${server})`);
  for (const name of ['events', 'checked']) writeFileSync(join(folder, name), '');
  for (const address of Object.values(SERVERS)) setDatabase(folder, address, 0);
  return config;
}

export const setDatabase = (folder: string, address: string, status: number): void =>
  writeFileSync(join(folder, `database-${address}`), `${status}\n`);

/** Returns how often database.sh was run. */
export const checkedIn = (folder: string): number =>
  readFileSync(join(folder, 'checked'), 'utf8').split('\n').length - 1;

/** Returns the lines of notify.sh since the first `from` ones. */
export const eventsOf = (folder: string, from: number): string[] =>
  readFileSync(join(folder, 'events'), 'utf8').split('\n').slice(from, -1);

/** Returns the output of `ipvsadm -Ln` without head and counts, the destinations of each service in order. */
export function rulesOf(listing: string): string[] {
  const services: string[][] = [];
  for (const line of listing.split('\n').slice(3).filter(Boolean)) {
    const text = line.trim().split(/\s+/);
    if (text[0] === '->') services.at(-1)!.push(`-> ${text.slice(1, 4).join(' ')}`);
    else services.push([text.join(' ')]);
  }
  return services.flatMap(([head, ...destinations]) => [head!, ...destinations.sort()]);
}

/**
 * Runs in a User-Mode Linux guest: keepalived or ldirectord with real servers on addresses of the same host. Plays the
 * steps, and writes the rules of the kernel after each.
 */
import { execFileSync, spawn } from 'node:child_process';
import { openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { setUpGuest } from '../guest-setup.ts';
import { PROJECT } from '../project.ts';
import { ControlledServer } from './controlled-server.ts';
import {
  eventsOf,
  type Original,
  rulesOf,
  SERVERS,
  type ServerName,
  type Settled,
  STEPS,
  setDatabase,
  writeOutageFiles,
} from './outages.ts';

/** Where the configuration and its scripts are. */
const FOLDER = '/run/outages';
const POLL_MS = 500;
/** A step has settled when nothing has changed for so long: several checks with their retries. */
const QUIET_MS = 8000;
/** keepalived becomes master, and adds the VIP, within this time. */
const START_MS = 12_000;

const NETWORK = [
  'link set lo up',
  'link add eth0 type dummy',
  'link set eth0 multicast on up',
  'addr add 192.168.0.1/24 dev eth0',
  ...Object.values(SERVERS).map((address) => `addr add ${address}/24 dev eth0`),
];
const COMMANDS: Readonly<Record<Original, (config: string) => string[]>> = {
  keepalived: (config) => ['keepalived', '--dont-fork', '--log-console', '--use-file', config],
  ldirectord: (config) => ['perl', '/usr/sbin/ldirectord', '-d', config, 'start'],
};

async function record(original: Original, output: string): Promise<void> {
  setUpGuest();
  for (const line of NETWORK) execFileSync('ip', line.split(' '));
  const config = writeOutageFiles(original, FOLDER);
  const servers = Object.fromEntries(
    Object.entries(SERVERS).map(([name, address]) => [name, new ControlledServer(name, address)]),
  ) as Record<ServerName, ControlledServer>;
  for (const server of Object.values(servers)) await server.change({ isOn: true });
  const [file, ...args] = COMMANDS[original](config);
  const log = openSync(`${output}/log`, 'w');
  // ldirectord examines certificates, but not their names.
  const env = { ...process.env, SSL_CERT_FILE: join(PROJECT, 'test/fixtures/tls/certificate.pem') };
  const program = spawn(file!, args, { stdio: ['ignore', log, log], cwd: FOLDER, env });
  await sleep(START_MS);
  const settled: Settled[] = [];
  let events = 0;
  for (const { name, server, answers, database } of STEPS[original]) {
    if (server !== undefined && answers) await servers[server].change(answers);
    if (server !== undefined && database !== undefined) setDatabase(FOLDER, SERVERS[server], database);
    let [rules, quietSince] = ['', Date.now()];
    while (Date.now() - quietSince < QUIET_MS) {
      await sleep(POLL_MS);
      const now = execFileSync('ipvsadm', ['-Ln'], { encoding: 'utf8' });
      if (now !== rules) [rules, quietSince] = [now, Date.now()];
    }
    const added = eventsOf(FOLDER, events);
    events += added.length;
    settled.push({ step: name, rules: rulesOf(rules), events: added });
    writeFileSync(`${output}/settled.json`, `${JSON.stringify(settled, null, 2)}\n`);
  }
  program.kill('SIGKILL');
  process.exit();
}

const { OUTAGES, OUTAGES_OUTPUT } = process.env;
if (OUTAGES !== undefined && OUTAGES_OUTPUT !== undefined) await record(OUTAGES as Original, OUTAGES_OUTPUT);

/**
 * Runs in a User-Mode Linux guest, whose root is the host's file system: loads each configuration into the real program
 * in a separate network namespace, and writes the rules that the kernel then has.
 */
import { execFileSync, spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { setUpGuest } from './guest-setup.ts';
import { withThresholds } from './rule-lines.ts';

/** A configuration file. */
export interface GuestCase {
  readonly program: 'keepalived' | 'ldirectord';
  readonly file: string;
}

/** What became of a case: the rules of the kernel, and what the program wrote. */
export interface GuestResult {
  readonly rules: string;
  readonly log: string;
}

/** Programs that run at once. */
const MAX_RUNNING = 4;
const POLL_MS = 400;
/** The rules are complete when they have not changed, and the program has slept, at so many looks in a row. */
const QUIET_POLLS = 8;

const run = (file: string, ...args: string[]) => execFileSync(file, args, { encoding: 'utf8' });

const NETWORK = `set -e
ip link set lo up; ip link add lan0 type dummy; ip link set lan0 up
ip addr add 10.1.0.1/16 dev lan0; ip addr add fd01::1/64 nodad dev lan0
ulimit -n 64
`;

/** Returns null where the program has not settled by `limit`. */
async function load({ program, file }: GuestCase, id: number, limit: number): Promise<GuestResult | null> {
  const command =
    program === 'keepalived'
      ? `exec keepalived --dont-fork --log-console --log-detail --check --dont-respawn --config-id main --use-file ${file} --pid /run/k${id} --checkers_pid /run/c${id}`
      : `exec perl /usr/sbin/ldirectord -d ${file} start`;
  // ldirectord writes its mails to a file of the current folder.
  const child = spawn('unshare', ['--net', 'sh', '-c', NETWORK + command], { detached: true, cwd: '/run' });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (log += String(text)));
  let isRunning = true;
  child.on('exit', (status, signal) => {
    isRunning = false;
    log += `exit status ${status}, signal ${signal}`;
  });
  let [quietPolls, table] = [0, ''];
  let isSettled = false;
  while (isRunning && !isSettled && Date.now() < limit) {
    await sleep(POLL_MS);
    const now = tableOf(child.pid!);
    if (now === undefined) continue;
    const isLoaded = /^(?:TCP|UDP|SCTP|FWM) /m.test(now) || log.includes('Startup complete');
    quietPolls = now === table && isLoaded && !busySessions().has(child.pid!) ? quietPolls + 1 : 0;
    table = now;
    isSettled = quietPolls >= QUIET_POLLS;
  }
  const rules = isRunning ? rulesOf(child.pid!) : '';
  if (isRunning) process.kill(-child.pid!, 'SIGKILL');
  return isSettled || !isRunning ? { rules, log } : null;
}

let [scanned, sessions] = [0, new Set<number>()];

/** Returns the sessions that have a process which runs or waits for the disk; looks at most once in POLL_MS. */
function busySessions(): ReadonlySet<number> {
  if (Date.now() - scanned < POLL_MS) return sessions;
  const found = readdirSync('/proc').flatMap((name) => {
    // proc(5): state, parent, process group and session follow the name in parentheses.
    const [state, , , session] = /^\d+$/.test(name) ? statOf(name) : [];
    return session === undefined || state === 'S' || state === 'Z' ? [] : [Number(session)];
  });
  [scanned, sessions] = [Date.now(), new Set(found)];
  return sessions;
}

function statOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
  } catch {
    return [];
  }
}

/** Returns the IPVS table of a process's network namespace; undefined where the process has ended. */
function tableOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/net/ip_vs`, 'utf8');
  } catch {
    return undefined;
  }
}

function rulesOf(pid: number): string {
  const ipvsadm = (...words: string[]) =>
    run('nsenter', '--target', String(pid), '--net', 'ipvsadm', ...words);
  return withThresholds(ipvsadm('-Sn'), ipvsadm('-Ln', '--thresholds'));
}

/** Loads the files until `limit`, ms since the epoch; files that are not loaded by then have no result. */
async function main(folder: string, limit: number): Promise<void> {
  setUpGuest();
  const cases = JSON.parse(readFileSync(`${folder}/cases.json`, 'utf8')) as GuestCase[];
  const waiting = cases.entries();
  const results: (GuestResult | null)[] = cases.map(() => null);
  await Promise.all(
    Array.from({ length: MAX_RUNNING }, async () => {
      for (const [i, each] of waiting) if (Date.now() < limit) results[i] = await load(each, i, limit);
    }),
  );
  writeFileSync(`${folder}/results.json`, JSON.stringify(results));
}

const { IPVS_GUEST: folder, IPVS_GUEST_LIMIT: limit } = process.env;
if (folder !== undefined) await main(folder, Number(limit));

/**
 * Changes an interface while the live driver captures on it; prints descriptors and memory. Run it in a separate namespace:
 * `node interface-changes.js KIND [ROUNDS]`.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { linkFacts } from '../../src/host/link-facts.ts';
import { openLive } from '../../src/io/live.ts';
import { loadSystem } from '../../src/sys/system.ts';

const ip = (...args: string[]) => execFileSync('ip', args);
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const add = () => {
  ip('link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1');
  for (const name of ['v0', 'v1']) ip('link', 'set', name, 'up');
};

/** What happens to the interface in round `i`; all leave it up under its name. */
const CHANGES: Readonly<Record<string, (i: number) => void>> = {
  mtu: (i) => ip('link', 'set', 'v0', 'mtu', String(i % 2 ? 1500 : 1400)),
  bounced: () => {
    ip('link', 'set', 'v0', 'down');
    ip('link', 'set', 'v0', 'up');
  },
  mac: (i) => ip('link', 'set', 'v0', 'address', `02:00:00:00:00:${(16 + (i % 200)).toString(16)}`),
  renamed: () => {
    ip('link', 'set', 'v0', 'down');
    ip('link', 'set', 'v0', 'name', 'v9');
    ip('link', 'set', 'v9', 'up');
    setTimeout(() => {
      ip('link', 'set', 'v9', 'down');
      ip('link', 'set', 'v9', 'name', 'v0');
      ip('link', 'set', 'v0', 'up');
    }, 20);
  },
  recreated: () => {
    ip('link', 'del', 'v0');
    add();
  },
};

const [, , kind = '', rounds = '100'] = process.argv;
const change = CHANGES[kind];
if (!change) throw new Error(`unknown kind ${kind}: expected ${Object.keys(CHANGES).join(', ')}`);
const ROUNDS = Number(rounds);

/** Descriptors, and MiB of the process's memory map: the rings of captures are part of it. */
function usage() {
  const [, kib] = /^VmSize:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'latin1')) ?? [];
  const rings = readFileSync('/proc/self/maps', 'latin1')
    .split('\n')
    .filter((line) => line.includes('socket:['));
  return {
    descriptors: readdirSync('/proc/self/fd').length,
    mib: Math.round(Number(kib) / 1024),
    rings: rings.length,
  };
}

add();
let events: string[] = [];
const live = await openLive({
  interfaces: ['v0'],
  tick: 5,
  clock: () => performance.now(),
  system: await loadSystem().catch(() => undefined),
  notice: (_name, what) => events.push(what),
});
let before = usage();
for (let i = 0; i < ROUNDS; i++) {
  events = [];
  const { index, mac } = linkFacts('v0')!;
  change(i);
  const now = linkFacts('v0');
  if (now?.index !== index || now.mac !== mac) while (!events.includes('back')) await sleep(2);
  await sleep(30);
  // The first rounds fill what is kept for the next ones.
  if (i === Math.min(9, ROUNDS >> 1)) before = usage();
}
await sleep(100);
process.stdout.write(`${JSON.stringify({ before, after: usage() })}\n`);
live[Symbol.dispose]();
process.exit(0);

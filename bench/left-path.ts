/**
 * Fills the table of the kernel path that a killed director has left, and then adopts it as the next director does, while its
 * programs forward packets. Prints as JSON the connections, and the time of the adoption from the opening of the arrays on:
 *
 *   node dist/bench/left-path.js PINS NUMBER
 */
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { TCP_ESTABLISHED } from '../src/director/path/tcp-state.ts';
import { Bpf } from '../src/ebpf/bpf.ts';
import { monotonicClock } from '../src/io/pump.ts';
import { NONE } from '../src/model/connection.ts';
import { measureJiffies } from '../src/offload/jiffies.ts';
import { existingPins } from '../src/offload/pins.ts';
import { adoptKernelTable, openLeft } from '../src/runtime/restart/adopted-table.ts';
import { loadSystem } from '../src/sys/system.ts';
import { isDestination } from '../src/table/record-checks.ts';
import { TCP } from '../src/wire/tcp.ts';
import { Crowd } from './crowd.ts';

/** Long enough for every measurement. */
const TIMEOUT_MS = 900_000;

const [, , root = '', number = '0'] = process.argv;
const bpf = new Bpf(await loadSystem());
const pins = existingPins(bpf, root);
if (!pins) throw new Error(`${root}: no path of this network namespace`);
const measured = await measureJiffies(bpf, monotonicClock);
const adopt = () => adoptKernelTable(openLeft(bpf, pins), measured, cpus().length);

const { table } = await adopt();
const { records } = table;
const destinations = Array.from({ length: 64 }, (_, i) => i).filter((i) => isDestination(records, i));
const crowd = new Crowd('IPv4');
const { caddr, vaddr } = crowd;
let made = 0;
for (; made < Number(number); made++) {
  const destination = destinations[made % destinations.length]!;
  const ends = { protocol: TCP, caddr, cport: crowd.cport(made), vaddr, vport: 80 };
  const row = table.add(ends, { destination, dport: records.port(destination), flags: 0, salt: 0 });
  if (row === NONE) break;
  table.setState(row, TCP_ESTABLISHED);
  table.setTimeout(row, TIMEOUT_MS);
  table.touch(row, monotonicClock());
}
/** Time for which this thread was ready to run and others had the processors, ms (/proc/<pid>/schedstat). */
const waited = (): number =>
  Number(readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ')[1]) / 1e6;

const began = performance.now();
const before = process.cpuUsage();
const waitedBefore = waited();
const { found } = await adopt();
const { user, system } = process.cpuUsage(before);
const times = {
  ms: performance.now() - began,
  processorMs: (user + system) / 1000,
  waitedMs: waited() - waitedBefore,
};
process.stdout.write(`${JSON.stringify({ made, connections: found.rows, ...times })}\n`);
// The arrays stay: a director adopts them next.
process.exit();

/**
 * Runs benchmarks: `node dist/bench/main.js [--quick] [--json] [--offloads on] [--measure requests] [--rounds N] [--seconds N]
 * [name ...]`. Names are those of `BENCHES`, `load` and `latency`.
 */
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { bulk } from './bulk.ts';
import { bulkForwarding } from './bulk-forwarding.ts';
import { connections } from './connections.ts';
import { decode } from './decode.ts';
import { director } from './director.ts';
import { ackFlood, flood } from './flood.ts';
import { ipvsadm } from './ipvsadm.ts';
import { formatLatency, type LatencyFigure, runLatency } from './latency.ts';
import { formatLoad, LOADS, type Load, type LoadFigure, loadMissing, runLoad } from './load.ts';
import type { Effort, Figure } from './measure.ts';
import { memory } from './memory.ts';
import { nlb } from './nlb.ts';
import { observation } from './observation.ts';
import { statusPage } from './page.ts';
import { restart } from './restart.ts';
import { rows } from './rows.ts';
import { turns } from './turns.ts';

const BENCHES: Readonly<Record<string, (effort: Effort) => Figure[] | Promise<Figure[]>>> = {
  memory,
  decode,
  connections,
  rows,
  director,
  ipvsadm,
  observation,
  bulk,
  'bulk-forwarding': bulkForwarding,
  nlb,
  page: statusPage,
  restart,
  turns,
  flood,
  'ack-flood': ackFlood,
};

/** Benchmark of programs in namespaces; needs root, and takes minutes. */
const LOAD = 'load';
/** Benchmark of response times of a director under load; needs root. */
const LATENCY = 'latency';

const { values, positionals } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    /** offloads of the laboratory's network cards, for `load`: off as on a wire, on as by default */
    offloads: { type: 'string', default: 'off' },
    /** what `load` measures; default: everything */
    measure: { type: 'string', multiple: true, default: [] },
    /** rounds of `load`, and seconds of each of its measurements */
    rounds: { type: 'string' },
    seconds: { type: 'string' },
  },
  allowPositionals: true,
});
const names = [...Object.keys(BENCHES), LOAD, LATENCY];
const unknown = positionals.filter((name) => !names.includes(name));
if (unknown.length > 0) {
  console.error(`bench: unknown benchmark ${unknown.join(', ')}: expected ${names.join(', ')}`);
  process.exit(2);
}
const chosen = (name: string) => positionals.length === 0 || positionals.includes(name);

const machine = {
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  cores: cpus().length,
  node: process.version,
  platform: `${process.platform} ${process.arch}`,
};
if (!values.json)
  console.log(`${machine.cpu}, ${machine.cores} cores, Node ${machine.node}, ${machine.platform}`);

const figures: Figure[] = [];
for (const [name, bench] of Object.entries(BENCHES)) {
  if (!chosen(name)) continue;
  const made = await bench({ quick: values.quick });
  figures.push(...made);
  if (!values.json) for (const figure of made) console.log(lineOf(figure));
}
const loads = (Object.keys(LOADS) as Load[]).filter((name) => values.measure.includes(name));
const loadOptions = {
  quick: values.quick,
  offloads: values.offloads === 'on' ? ('on' as const) : ('off' as const),
  ...(loads.length > 0 ? { loads } : {}),
  ...numberOption('rounds'),
  ...numberOption('seconds'),
};
const load: LoadFigure[] = [];
if (chosen(LOAD)) {
  const missing = loadMissing();
  if (missing) console.error(`bench: ${LOAD} is skipped: ${missing}`);
  else load.push(...(await runLoad({ ...loadOptions, say: (line) => console.error(line) })));
  if (!values.json) console.log(formatLoad(load));
}
const latency: LatencyFigure[] = [];
if (chosen(LATENCY)) {
  const missing = loadMissing();
  if (missing) console.error(`bench: ${LATENCY} is skipped: ${missing}`);
  else latency.push(...(await runLatency({ quick: values.quick })));
  if (!values.json) console.log(formatLatency(latency));
}
if (values.json)
  console.log(JSON.stringify({ machine, quick: values.quick, figures, load, latency }, undefined, 2));

/** Returns the option as a number, for `runLoad`. */
function numberOption(name: 'rounds' | 'seconds'): { rounds?: number; seconds?: number } {
  const text = values[name];
  if (text === undefined) return {};
  const number = Number(text);
  if (!(number > 0)) {
    console.error(`bench: --${name} ${text}: expected a number above 0`);
    process.exit(2);
  }
  return { [name]: number };
}

function lineOf({ name, connections: size, value, best, unit }: Figure): string {
  const digits = unit === '%' ? 3 : unit === 'ns' || unit === 'bytes' || name.includes('percentile') ? 1 : 0;
  const rounds = best === undefined ? '' : `   best ${best.toFixed(digits)}`;
  const table = size === undefined ? '' : size.toLocaleString('en');
  return `${name.padEnd(58)}${table.padStart(10)}${value.toFixed(digits).padStart(10)} ${unit}${rounds}`;
}

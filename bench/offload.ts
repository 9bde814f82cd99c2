/** Measures the kernel path: `node dist/bench/offload.js [--quick] [--json] [cost] [live] [upcalls] [schedule] [admit] [new] [filter]`. Needs root. */
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { Bpf } from '../src/ebpf/bpf.ts';
import { loadSystem } from '../src/sys/system.ts';
import { admissions } from './offload-admission.ts';
import { type Costs, costs, filled, METHODS } from './offload-cost.ts';
import { filtered } from './offload-filter.ts';
import { Lane, type LiveFigures } from './offload-live.ts';
import { type NewConnections, newConnections } from './offload-new.ts';
import { LIST_SIZES, selections } from './offload-schedule.ts';
import { formatUpcalls, type UpcallFigures, upcalls } from './offload-upcalls.ts';

const FLOWS = [1, 1024, 65_536, 1_048_576];
const HOOKS = ['xdp', 'tc'] as const;

/** Parts that can be selected. */
const PARTS = ['cost', 'live', 'upcalls', 'schedule', 'admit', 'new', 'filter'];

const { values, positionals } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, json: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const unknown = positionals.filter((name) => !PARTS.includes(name));
if (unknown.length > 0) {
  console.error(`bench: unknown part ${unknown.join(', ')}: expected ${PARTS.join(', ')}`);
  process.exit(2);
}
const part = (name: string) => positionals.length === 0 || positionals.includes(name);
const sizes = values.quick ? FLOWS.slice(0, 2) : FLOWS;
const rounds = values.quick ? 5 : 7;
const bpf = new Bpf(await loadSystem());

const say = (text: string) => {
  if (!values.json) console.log(text);
};
say(`${cpus()[0]?.model.trim()}, ${cpus().length} cores, Node ${process.version}`);
say(`ns a packet above a program that swaps MAC addresses and sends (medians of ${rounds} rounds)`);

const net: Record<string, Record<string, Record<string, number>>> = Object.fromEntries(
  HOOKS.map((hook) => [hook, Object.fromEntries(METHODS.map((method) => [method, {}]))]),
);
const baselines: Record<string, number> = {};
const unplaced: Record<string, number> = {};
if (part('cost'))
  for (const size of sizes) {
    const table = filled(bpf, size);
    unplaced[size] = table.unplaced;
    for (const hook of HOOKS) {
      const result: Costs = costs(bpf, hook, table, size, rounds);
      baselines[hook] ??= result.baseline;
      for (const method of METHODS) net[hook]![method]![size] = result.net[method];
      const figures = METHODS.map((method) => `${method} ${String(result.net[method]).padStart(4)}`).join(
        '  ',
      );
      say(
        `${hook.padEnd(4)} ${size.toLocaleString('en').padStart(9)} flows: ${figures}   (baseline ${result.baseline})`,
      );
    }
  }
const live: Record<string, LiveFigures> = {};
if (part('live')) {
  using lane = new Lane(bpf);
  for (const size of sizes.filter((each) => each !== 1024)) {
    const figures = await lane.measure(filled(bpf, size), size);
    live[size] = figures;
    const ratios = METHODS.map((method) => `${method} ${figures.ratio[method].toFixed(2)}`).join('  ');
    say(
      `live ${size.toLocaleString('en').padStart(9)} flows: ${ratios} of a bare redirect (${(figures.bare / 1e6).toFixed(2)} M packets/s; ${figures.lost} not forwarded: no slot for their flows)`,
    );
  }
}
const upcalled: Record<string, UpcallFigures> = {};
if (part('upcalls'))
  for (const hook of HOOKS) {
    const figures = await upcalls(bpf, hook, values.quick ? 1 : undefined);
    upcalled[hook] = figures;
    say(formatUpcalls(hook, figures));
  }
const scheduled: Record<string, Record<number, number>> = {};
if (part('schedule')) {
  say(`ns a selection by the program of a scheduler, among ${LIST_SIZES.join(', ')} destinations`);
  for (const [scheduler, figures] of selections(bpf, rounds)) {
    scheduled[scheduler] = figures;
    const columns = LIST_SIZES.map((size) => String(figures[size]).padStart(6));
    say(`${scheduler.padEnd(4)} ${columns.join(' ')}`);
  }
}
const admitted: Record<string, Record<number, number>> = {};
if (part('admit')) {
  say('ns a new connection that programs admit, above the same baseline (xdp, dr)');
  for await (const [scheduler, destinations, denied, ns] of admissions(bpf, rounds)) {
    const name = denied === 0 ? scheduler : `${scheduler}, ${denied} denied`;
    admitted[name] = { ...admitted[name], [destinations]: ns };
    say(`${name.padEnd(20)} ${String(destinations).padStart(5)} destinations: ${ns}`);
  }
}
const made: Record<string, NewConnections[]> = {};
if (part('new')) {
  say('new connections/s that programs admit, real frames over veth, generator included');
  for (const hook of HOOKS)
    for await (const figures of newConnections(bpf, hook, rounds)) {
      made[hook] = [...(made[hook] ?? []), figures];
      const { scheduler, method, missed } = figures;
      const [middle, best] = [figures.median, figures.best].map((rate) => (rate / 1e6).toFixed(2));
      say(
        `${hook.padEnd(4)} ${scheduler} ${method}: ${middle} M/s, best ${best} M/s (${missed} not admitted)`,
      );
    }
}
let filter: Record<string, number> = {};
if (part('filter')) {
  say('ns a packet of the filter of mode nlb (tc)');
  filter = filtered(bpf, rounds);
  for (const [kind, ns] of Object.entries(filter)) say(`${kind}: ${ns}`);
}
if (values.json)
  console.log(
    JSON.stringify({
      baseline_ns: baselines['xdp'],
      baselines_ns: baselines,
      net_ns: net,
      unplaced,
      live,
      upcalls: upcalled,
      schedule_ns: scheduled,
      admit_ns: admitted,
      new_connections: made,
      filter_ns: filter,
    }),
  );
// Freeing a large table takes time.
process.exit(0);

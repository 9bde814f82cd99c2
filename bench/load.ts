/** Compares the throughput of the director's methods and datapaths with plain routing, HAProxy and nftables in one laboratory. */
import { spawnSync } from 'node:child_process';
import { probe } from '../src/runtime/kernel/datapath.ts';
import { Lab } from '../test/support/lab.ts';
import { probeNamespaces } from '../test/support/namespaces.ts';
import { datagrams, requests, stream } from './load/generators.ts';
import { direct, director, haproxy, nftables, type Path, routing, startServers } from './load/paths.ts';

/** The measurements, with their units. */
export const LOADS = {
  requests: 'requests/s, one per connection',
  up: 'Mbit/s to the server',
  down: 'Mbit/s from the server',
  datagrams: 'packets/s of 64 bytes over UDP, none lost',
} as const;
export type Load = keyof typeof LOADS;

/** Seconds of requests before the measurement. */
const WARM_UP_SECONDS = 2;

export interface LoadOptions {
  /** One short round: shows that it works; the figures are imprecise. */
  readonly quick?: boolean;
  /** Rounds, each with all paths; the result is their median. Default 3. */
  readonly rounds?: number;
  /** Seconds of each measurement; default 3. */
  readonly seconds?: number;
  readonly loads?: readonly Load[];
  readonly offloads?: 'on' | 'off';
  /** Called with progress messages. */
  readonly say?: (line: string) => void;
}

export interface LoadFigure {
  readonly path: string;
  readonly load: Load;
  /** The median of the rounds. */
  readonly value: number;
  readonly rounds: readonly number[];
  /** `value` divided by that of the direct path. */
  readonly ratio: number;
  /** `value` divided by that of plain routing. */
  readonly routed: number;
}

/** Returns the reason why the benchmark cannot run; undefined: it can. */
export function loadMissing(): string | undefined {
  const missing = probeNamespaces();
  if (missing) return `${missing.what}: ${missing.why}`;
  const tools = ['wrk', 'iperf3', 'haproxy', 'nft'].filter(
    (tool) => spawnSync('sh', ['-c', `PATH=$PATH:/usr/sbin command -v ${tool}`]).status !== 0,
  );
  return tools.length === 0 ? undefined : `not installed: ${tools.join(', ')} (scripts/setup bench)`;
}

export async function runLoad(options: LoadOptions = {}): Promise<LoadFigure[]> {
  const { quick = false, say = () => {}, loads = Object.keys(LOADS) as Load[] } = options;
  const rounds = options.rounds ?? (quick ? 1 : 3);
  const seconds = options.seconds ?? (quick ? 1 : 3);
  // With offloads, XDP receives packets with incomplete checksums: it is not measured then.
  const isOn = options.offloads === 'on';
  await using lab = await Lab.create({ shape: 'all', offloads: isOn ? 'on' : 'off' });

  const servers = await startServers(lab);
  const kernel = await kernelPathMissing();
  if (kernel !== undefined) say(`tc and xdp are skipped: ${kernel}`);
  const datapaths: ('xdp' | 'tc')[] = kernel !== undefined ? [] : isOn ? ['tc'] : ['xdp', 'tc'];
  if (datapaths.includes('xdp')) pollPeers(lab);
  const targets = [direct, routing, ...['live' as const, ...datapaths].map(director), haproxy, nftables];
  const measured = new Map<string, number[]>();
  const key = (path: string, load: Load) => `${load} ${path}`;
  const paths: Path[] = [];
  for (let round = 1; round <= rounds; round++)
    for (const target of targets) {
      await using _open = await target.open(lab);
      for (const path of target.paths) {
        if (round === 1) paths.push(path);
        for (const load of loads) {
          if (load === 'datagrams' && !path.udp) continue;
          if (load !== 'requests' && path.requestsOnly) continue;
          const value = await measure(lab, path, load, seconds);
          const ended = servers.find((server) => !server.running);
          if (ended) throw new Error(`${ended.command} exited with ${await ended.ended}:\n${ended.output}`);
          say(`round ${round}: ${path.name}: ${Math.round(value)} ${LOADS[load]}`);
          measured.set(key(path.name, load), [...(measured.get(key(path.name, load)) ?? []), value]);
        }
      }
    }
  return loads.flatMap((load) => {
    const base = median(measured.get(key('direct', load)) ?? []);
    const routed = median(measured.get(key('plain routing', load)) ?? []);
    return paths.flatMap(({ name }) => {
      const values = measured.get(key(name, load));
      if (!values) return [];
      const value = median(values);
      return [{ path: name, load, value, rounds: values, ratio: value / base, routed: value / routed }];
    });
  });
}

async function kernelPathMissing(): Promise<string | undefined> {
  const { tc, xdp } = await probe();
  const missing = [...tc, ...xdp].find((feature) => feature.missing !== undefined);
  return missing && `${missing.name}: ${missing.missing}`;
}

/** Makes peers poll: a veth that XDP sends to must poll. */
function pollPeers(lab: Lab): void {
  for (const segment of ['segment', 'inside'])
    spawnSync('ip', [
      ...['netns', 'exec', lab.namespace(segment)],
      ...['ethtool', '-K', lab.director.name, 'gro', 'on', 'tx', 'off'],
    ]);
}

function measure(lab: Lab, path: Path, load: Load, seconds: number): Promise<number> {
  switch (load) {
    case 'requests':
      return warmRequests(lab, path, seconds);
    case 'up':
      return stream(lab.client, path.iperf, false, seconds);
    case 'down':
      return stream(lab.client, path.iperf, true, seconds);
    case 'datagrams':
      return datagrams(lab.client, lab.servers[0]!, path.datagrams, 1);
    default:
      return load satisfies never;
  }
}

/** Measures requests after some that are not measured: a process that has just started runs code that is not compiled yet. */
async function warmRequests(lab: Lab, { http }: Path, seconds: number): Promise<number> {
  const to = `${http.address}:${http.port}`;
  await requests(lab.client, to, WARM_UP_SECONDS);
  return requests(lab.client, to, seconds);
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

const percent = (ratio: number): string => `${Math.round(ratio * 100)} %`.padStart(8);

/** Formats a table per measurement, with percentages of the direct path and of plain routing. */
export function formatLoad(figures: readonly LoadFigure[]): string {
  const lines: string[] = [];
  for (const load of Object.keys(LOADS) as Load[]) {
    const rows = figures.filter((figure) => figure.load === load);
    if (rows.length === 0) continue;
    lines.push('', `${LOADS[load].padEnd(42)}of direct, of plain routing`);
    for (const { path, value, ratio, routed, rounds } of rows) {
      const spread =
        rounds.length > 1 ? `   ${Math.round(Math.min(...rounds))}..${Math.round(Math.max(...rounds))}` : '';
      lines.push(
        `  ${path.padEnd(20)}${String(Math.round(value)).padStart(9)}${percent(ratio)}${percent(routed)}${spread}`,
      );
    }
  }
  return lines.join('\n').trimStart();
}

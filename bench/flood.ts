/** Measures what a flood of SYNs, or of ACKs of unknown connections, takes from known connections, by datapath, and from the operator. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { clusterMissing } from '../test/support/cluster.ts';
import { Lab } from '../test/support/lab.ts';
import { ipvsadm, startDirector, startServers } from '../test/support/lvs-programs.ts';
import type { Program } from '../test/support/program.ts';
import { built } from '../test/support/project.ts';
import { SteadyLoad } from '../test/support/steady-load.ts';
import type { Effort, Figure } from './measure.ts';

/** Packets/s of known connections: a tenth of what the datapath forwards at most. */
const KNOWN_RATES = { live: 9000, tc: 50_000, xdp: 50_000 } as const;
type Datapath = keyof typeof KNOWN_RATES;
/** Processors of the generators where the director's programs run on those of the senders. */
const PROCESSORS = { known: 0, flood: 1 } as const;
/** Connections on which a client asks, and the time between two requests on one, ms. */
const HELD = 200;
const INTERVAL_MS = 200;
const ROUNDS = 7;
const SECONDS = 3;
const WEB = '127.0.0.1:9112';
const SERVER = { dr: '192.168.0.3', nat: '192.168.1.3' } as const;
type Method = keyof typeof SERVER;

/**
 * Flags of the packets of a flood. With `ACK`, the director takes over connections of other directors, each ACK of an unknown one
 * included.
 */
type Flags = 'SYN' | 'ACK';
/** Rows of the connection table under a flood of ACKs, which fill a share of it. */
const ACK_CONNECTIONS = 200_000;

const config = (
  method: Method,
  flags: Flags,
) => `${flags === 'ACK' ? 'takeover: {}\nsettings: { sloppy_tcp: 1 }\n' : ''}method: ${method}
vips:
  - { interface: eth0, address: 192.168.0.101, prefix: 24 }
director: { inside: { interface: ${method === 'nat' ? 'eth1, address: 192.168.1.1' : 'eth0, address: 192.168.0.1'}, prefix: 24 } }
services:
  - { tcp: '192.168.0.101:80', ${flags === 'ACK' ? 'scheduler: mh, flags: [mh-port, mh-fallback]' : 'scheduler: rr'}, destinations: [${SERVER[method]}] }
`;

/** Counts what arrives at the server, and drops it: replies would be more load. */
const COUNTERS = `table ip flood {
  counter known {}
  counter flood {}
  chain in {
    type filter hook prerouting priority raw;
    ip saddr 192.168.0.210-192.168.0.249 counter name flood drop
    tcp dport 80 counter name known drop
  }
}
`;

interface Round {
  /** Share of the known packets sent that arrived, or answers. */
  readonly kept: number;
  /** SYNs per second: sent, and forwarded. */
  readonly syns: number;
  readonly forwarded: number;
  /** Duration of `ipvsadm -Ln` meanwhile, ms. */
  readonly ipvsadm: number;
}

interface Pair {
  readonly alone: Round;
  readonly flooded: Round;
}

export async function flood({ quick }: Effort): Promise<Figure[]> {
  const missing = clusterMissing();
  if (missing !== undefined) {
    console.error(`bench: flood is left out: ${missing}`);
    return [];
  }
  const seconds = quick ? 1 : SECONDS;
  const rounds = quick ? 1 : ROUNDS;
  const found: Figure[] = [];
  for (const datapath of ['live', 'tc', 'xdp'] as const)
    found.push(...(await packets(datapath, rounds, seconds)));
  return [...found, ...(await requests(rounds, seconds))];
}

/** Measures a flood of ACKs of unknown connections, to a director that takes over connections of others. */
export async function ackFlood({ quick }: Effort): Promise<Figure[]> {
  const missing = clusterMissing();
  if (missing !== undefined) {
    console.error(`bench: ack-flood is left out: ${missing}`);
    return [];
  }
  const found: Figure[] = [];
  for (const datapath of ['tc', 'xdp'] as const)
    found.push(...(await packets(datapath, quick ? 1 : ROUNDS, quick ? 1 : SECONDS, 'ACK')));
  return found;
}

/**
 * Packets in one direction, counted at the server. Under `live` one generator sends both kinds, so that the director has the
 * other processor. Programs of a kernel path run on the processors of the senders, so each kind has one.
 */
async function packets(
  datapath: Datapath,
  rounds: number,
  seconds: number,
  flags: Flags = 'SYN',
): Promise<Figure[]> {
  await using lab = await Lab.create({ servers: 1, offloads: 'off' });
  const server = lab.servers[0]!;
  await server.exec(`ip address add ${lab.vip}/32 dev lo`);
  await server.exec(['nft', '-f', '-'], { input: COUNTERS });
  if (datapath === 'xdp') lab.pollPeers();
  await using director = await start(lab, 'dr', datapath, flags);
  const known = KNOWN_RATES[datapath];
  const arrived = async (counter: string) =>
    Number(/packets (\d+)/.exec(await server.exec(`nft reset counter ip flood ${counter}`))?.[1]);
  const round = async (isFlood: boolean): Promise<Round> => {
    const generators =
      datapath === 'live'
        ? [await startGenerator(lab, isFlood ? flags : undefined, seconds, known)]
        : [
            await startGenerator(lab, undefined, seconds, known, PROCESSORS.known),
            ...(isFlood ? [await startGenerator(lab, flags, seconds, 0, PROCESSORS.flood)] : []),
          ];
    for (const generator of generators) await generator.line(/^open$/);
    await server.exec('nft reset counters');
    for (const generator of generators) generator.write('go\n');
    const listing = await list(lab);
    const sent = await Promise.all(
      generators.map(async (generator) => JSON.parse(await generator.line(/^\{/)) as Sent),
    );
    const said = {
      known: sent.reduce((sum, each) => sum + each.known, 0),
      syns: sent.reduce((sum, each) => sum + each.syns, 0),
      ms: Math.max(...sent.map(({ ms }) => ms)),
    };
    await Promise.all(generators.map(({ ended }) => ended));
    await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
    return {
      kept: (await arrived('known')) / said.known,
      syns: (said.syns / said.ms) * 1000,
      forwarded: ((await arrived('flood')) / said.ms) * 1000,
      ipvsadm: listing,
    };
  };
  await round(true);
  const pairs: Pair[] = [];
  for (let i = 0; i < rounds; i++) pairs.push({ alone: await round(false), flooded: await round(true) });
  const what = `packets, ${datapath}`;
  return [
    ...figures(what, pairs, flags),
    ...(await losses(lab)),
    ...(flags === 'ACK' ? await takenOver(lab, director, what) : []),
  ];
}

/** Requests on held connections through nat: packets in both directions, and the server answers SYNs. */
async function requests(rounds: number, seconds: number): Promise<Figure[]> {
  await using lab = await Lab.create({ shape: 'nat', servers: 1, offloads: 'off' });
  await using _server = await startServers(lab.servers[0]!, 1);
  await using _director = await start(lab, 'nat', 'live', 'SYN');
  const load = { vip: lab.vip, held: HELD, perSecond: 1, limit: 2000, interval: INTERVAL_MS };
  await using client = await SteadyLoad.start(lab.client, load);
  const round = async (isFlood: boolean): Promise<Round> => {
    await client.seen();
    const before = await admitted(lab);
    const began = performance.now();
    const generator = isFlood ? await startGenerator(lab, 'SYN', seconds, 0) : undefined;
    await generator?.line(/^open$/);
    generator?.write('go\n');
    const listing = await list(lab);
    const said = generator
      ? (JSON.parse(await generator.line(/^\{/)) as Sent)
      : { known: 0, syns: 0, ms: seconds * 1000 };
    if (!generator) await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    const { answers, ended } = await client.seen();
    if (ended > 0) console.error(`flood: ${ended} held connections ended`);
    const due = (HELD / INTERVAL_MS) * (performance.now() - began);
    return {
      kept: answers / due,
      syns: (said.syns / said.ms) * 1000,
      forwarded: (((await admitted(lab)) - before) / said.ms) * 1000,
      ipvsadm: listing,
    };
  };
  await round(true);
  const pairs: Pair[] = [];
  for (let i = 0; i < rounds; i++) pairs.push({ alone: await round(false), flooded: await round(true) });
  return [...figures('requests, live', pairs), ...(await losses(lab))];
}

/** ms after which everything that was sent has arrived. */
const SETTLED_MS = 500;

/** What a generator has sent. */
interface Sent {
  readonly known: number;
  readonly syns: number;
  readonly ms: number;
}

async function start(lab: Lab, method: Method, datapath: Datapath, flags: Flags): Promise<Program> {
  const file = join(lab.folder, 'lvs.yaml');
  writeFileSync(file, config(method, flags));
  const size = flags === 'ACK' ? ['--connections', String(ACK_CONNECTIONS)] : [];
  return startDirector(lab.director, file, '--datapath', datapath, '--metrics', WEB, ...size);
}

async function startGenerator(
  lab: Lab,
  flood: Flags | undefined,
  seconds: number,
  known: number,
  processor?: number,
) {
  const mac = (await lab.director.exec('cat /sys/class/net/eth0/address')).trim();
  const options = ['--mac', mac, '--to', lab.vip, '--known', String(known), '--seconds', String(seconds)];
  return lab.client.spawn([
    ...(processor === undefined ? [] : ['taskset', '--cpu-list', String(processor)]),
    ...built('test/support/syn-flood'),
    ...options,
    ...(flood === undefined ? [] : ['--flood', '0', '--flags', flood]),
  ]);
}

/** Resolves with the duration of `ipvsadm -Ln`, ms. */
async function list(lab: Lab): Promise<number> {
  const began = performance.now();
  await lab.director.exec([...ipvsadm, '-Ln']);
  return performance.now() - began;
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

function figures(what: string, pairs: readonly Pair[], flags: Flags = 'SYN'): Figure[] {
  const of = (pick: (pair: Pair) => number) => median(pairs.map(pick));
  const figure = (name: string, value: number, unit: Figure['unit']): Figure => ({
    name: `flood: ${what}: ${name}`,
    value,
    unit,
  });
  return [
    figure(
      'answered or arrived without a flood',
      of(({ alone }) => 100 * alone.kept),
      '%',
    ),
    figure(
      'with one, of that',
      of(({ alone, flooded }) => (100 * flooded.kept) / alone.kept),
      '%',
    ),
    figure(
      'with one, of that, worst round',
      Math.min(...pairs.map(({ alone, flooded }) => (100 * flooded.kept) / alone.kept)),
      '%',
    ),
    figure(
      `${flags}s sent`,
      of(({ flooded }) => flooded.syns),
      'packets/s',
    ),
    figure(
      `${flags}s forwarded`,
      of(({ flooded }) => flooded.forwarded),
      'packets/s',
    ),
    figure(
      'ipvsadm -Ln without a flood',
      of(({ alone }) => alone.ipvsadm),
      'ms',
    ),
    figure(
      'ipvsadm -Ln with one',
      of(({ flooded }) => flooded.ipvsadm),
      'ms',
    ),
  ];
}

/** Resolves with the connections that the director has made. */
async function admitted(lab: Lab): Promise<number> {
  const text = await lab.director.exec(`curl -sS http://${WEB}/metrics`);
  return Number(/^lvs_connections_total (\d+)$/m.exec(text)?.[1]);
}

/** Resolves with the packets that the director has lost, by place. */
async function losses(lab: Lab): Promise<Figure[]> {
  const text = await lab.director.exec(`curl -sS http://${WEB}/metrics`);
  return [...text.matchAll(/^lvs_driver_lost_packets_total\{place="(\w+)"\} (\d+)$/gm)].map(
    ([, place, count]) => ({ name: `flood: lost, ${place}`, value: Number(count), unit: 'packets' as const }),
  );
}

/** Resolves with what a flood has made of the table, and the memory of the director. */
async function takenOver(lab: Lab, director: Program, what: string): Promise<Figure[]> {
  const text = await lab.director.exec(`curl -sS http://${WEB}/metrics`);
  const read = (pattern: RegExp, from = text) => Number(pattern.exec(from)?.[1]);
  const status = readFileSync(`/proc/${director.pid}/status`, 'latin1');
  const figure = (name: string, value: number, unit: Figure['unit']): Figure => ({
    name: `flood: ${what}: ${name}`,
    value,
    unit,
  });
  return [
    figure('most entries of the table', read(/^lvs_connection_table_entries_highest (\d+)$/m), 'rows'),
    figure(
      'dropped at the share of the table',
      read(/^lvs_dropped_packets_total\{reason="takeover-limit"\} (\d+)$/m),
      'packets',
    ),
    figure('resident memory of the director', read(/^VmRSS:\s+(\d+) kB$/m, status) * 1024, 'bytes'),
  ];
}

/** First packets through the real director: tap, decision, flow, and back; and what known connections notice of a flood of them. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { assemble } from '../src/ebpf/assemble.ts';
import type { Bpf } from '../src/ebpf/bpf.ts';
import { KTIME_GET_NS, REDIRECT } from '../src/ebpf/helper.ts';
import * as bpf from '../src/ebpf/instruction.ts';
import { attachXdp } from '../src/ebpf/link.ts';
import { BpfMap } from '../src/ebpf/map.ts';
import { Program } from '../src/ebpf/program.ts';
import { testRun } from '../src/ebpf/test-run.ts';
import type { HookName } from '../src/offload/hooks.ts';
import { enterNetworkNamespace } from '../src/sys/network-namespace.ts';
import { parseMac } from '../src/wire/ethernet.ts';
import { packetOfLine } from '../src/wire/packet-line.ts';
import { UDP } from '../src/wire/udp.ts';
import { ethernetOf } from '../test/support/packets.ts';
import { Program as Process } from '../test/support/program.ts';
import { built } from '../test/support/project.ts';
import { LANE_MACS, LaneNetwork, run } from './lane.ts';
import { median } from './offload-cost.ts';

const { R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, B, H, W, DW, at, exit } = bpf;

const VIP = '192.0.2.80';
const SERVER = '172.16.0.1';
const ROUNDS = 5;
/** Frames at a time, and in a measurement that is not paced: about a second. */
const BATCH = 64;
const FRAMES = 1_000_000;
/** What known connections send in a second, and the flood meanwhile. */
const KNOWN_RATE = 500_000;
const FLOOD_RATE = 500_000;
/** Connections that are known. */
const KNOWN = 1024;
/** Room for all rounds. */
const CONNECTIONS = 2 ** 22;
const FLOWS = 2 ** 20;

/* Where a frame has its source address's last half, its identification, its source port, TCP sequence number and flags. */
const IDENTIFICATION = 18;
const SOURCE_LOW = 28;
const SOURCE_PORT = 34;
const SEQUENCE = 38;
const FLAGS = 47;
const SYN = 2;
/** Bytes of the Ethernet, IPv4 and TCP headers. */
const HEADERS = 54;
const XDP_DROP = 1;
/** 2^15 ports of each address. */
const PORT_BITS = 15;
const FIRST_PORT = 1024;

export interface Connections {
  /** The first packet makes the flow. */
  readonly udp: number;
  /** TCP's first packet alone. */
  readonly syn: number;
  /** TCP until it is a flow: SYN and ACK, two upcalls a connection. */
  readonly established: number;
}

export interface UpcallFigures {
  /** New connections a second that arrived at the server, while more were offered. */
  readonly rates: Connections;
  /** The same in a second of the director's processor time, in the best round: what else the machine did does not count. */
  readonly perCore: Connections;
  readonly known: {
    /** Packets/s of known connections that arrived, with nothing else on the way, and with a flood of SYNs. */
    readonly alone: number;
    readonly flooded: number;
    /** Median of the rounds' ratios. */
    readonly ratio: number;
    /** Share of those sent that arrived meanwhile, by that share without a flood. */
    readonly kept: number;
    /** SYN/s that were sent meanwhile, and those that the director forwarded. */
    readonly syns: number;
    readonly forwarded: number;
  };
  /** Packets that did not arrive, of all that were sent, by the place where they were dropped. */
  readonly sent: number;
  readonly drops: Readonly<Record<string, number>>;
}

/** One processor for who sends and the kernel's program, one for the director. */
const isPinned = cpus().length > 1;

export async function upcalls(b: Bpf, hook: HookName, rounds = ROUNDS): Promise<UpcallFigures> {
  const bench = new UpcallBench(b, hook);
  try {
    return await bench.measure(rounds);
  } finally {
    await bench.close();
  }
}

/** Packets a second, unless said otherwise. */
interface Arrived {
  /** How many arrived, both kinds, in a second of the director's processor time. */
  readonly perCore: number;
  /** Others that arrived. */
  readonly count: number;
  readonly sent: number;
  readonly others: number;
  readonly syns: number;
}

class UpcallBench {
  readonly #bpf: Bpf;
  readonly #network = new LaneNetwork();
  readonly #folder = mkdtempSync(join(tmpdir(), 'lvs-bench-'));
  /** Frames at the server, others and SYNs: how many, the first's time and the last's, ns. */
  readonly #arrived: BigUint64Array;
  readonly #counting: ReturnType<typeof attachXdp>;
  readonly #home: number;
  readonly #director: Process;
  #sent = 0;

  constructor(b: Bpf, hook: HookName) {
    this.#bpf = b;
    const { generator, director, server } = this.#network;
    const inDirector = (...words: string[]) => run('ip', '-n', director, ...words);
    inDirector('link', 'set', 'lo', 'up');
    inDirector('address', 'add', '10.0.0.254/8', 'dev', 'd0');
    inDirector('address', 'add', '172.16.0.254/24', 'dev', 'd1');
    inDirector('neigh', 'add', SERVER, 'lladdr', LANE_MACS.r1, 'dev', 'd1', 'nud', 'permanent');
    // A veth takes live frames when its receiver polls: for a program at XDP, or for this.
    run('ip', 'netns', 'exec', director, 'ethtool', '-K', 'd0', 'gro', 'on');
    const arrived = new BpfMap(b, {
      type: 'array',
      keySize: 4,
      valueSize: 16 * KIND,
      entries: 1,
      mapped: true,
    });
    this.#arrived = new BigUint64Array(arrived.mapped().bytes.buffer);
    const { system } = b;
    enterNetworkNamespace(system, server);
    this.#counting = attachXdp(b, counting(b, arrived.descriptor), system.interfaceIndex('r1'), 'driver');
    enterNetworkNamespace(system, generator);
    this.#home = system.interfaceIndex('g0');
    const config = join(this.#folder, 'lvs.yaml');
    writeFileSync(config, CONFIG);
    if (isPinned) run('taskset', '-a', '-p', '-c', '0', String(process.pid));
    const pinned = isPinned ? ['taskset', '-c', '1'] : [];
    this.#director = new Process([
      ...['ip', 'netns', 'exec', director, ...pinned, ...built('src/cli/director'), 'run'],
      ...['--config', config, '--interface', 'd0', 'd1', '--datapath', hook],
      ...['--socket', join(this.#folder, 'director.sock')],
      ...['--connections', String(CONNECTIONS), '--flows', String(FLOWS)],
    ]);
  }

  async measure(rounds: number): Promise<UpcallFigures> {
    await this.#director.line(/\bready\b/, 30_000);
    const known = this.#program(packet(FROM.known, 'ACK len=10 DF'), { flows: KNOWN });
    const opening = this.#pairs(FROM.known);
    // The director finds out which way the server is with the first; then all, few enough to wait their turn.
    await this.#send(opening, 2);
    await pause(SETTLED);
    await this.#send(opening, 2 * KNOWN);
    const mixed = this.#program(packet(FROM.known, 'ACK len=10 DF'), {
      flows: KNOWN,
      every: SYN_EVERY,
      other: packet(FROM.flood, 'SYN DF'),
    });
    const kinds = {
      udp: this.#program(udpPacket(FROM.udp)),
      syn: this.#program(packet(FROM.syn, 'SYN DF')),
      established: this.#pairs(FROM.pairs),
    };
    const rates: Record<keyof typeof kinds, number[]> = { udp: [], syn: [], established: [] };
    const perCore: typeof rates = { udp: [], syn: [], established: [] };
    const alone: Arrived[] = [];
    const flooded: Arrived[] = [];
    for (let round = 0; round < rounds; round++) {
      alone.push(await this.#send(known, KNOWN_RATE, KNOWN_RATE));
      flooded.push(await this.#send(mixed, KNOWN_RATE + FLOOD_RATE, KNOWN_RATE + FLOOD_RATE));
      for (const kind of ['udp', 'syn', 'established'] as const) {
        const arrived = await this.#send(kinds[kind], FRAMES);
        rates[kind].push(kind === 'syn' ? arrived.syns : arrived.others);
        const each = kind === 'established' ? arrived.perCore / 2 : arrived.perCore;
        perCore[kind].push(each);
      }
    }
    const others = (each: Arrived) => each.others;
    return {
      rates: { udp: median(rates.udp), syn: median(rates.syn), established: median(rates.established) },
      perCore: {
        udp: Math.max(...perCore.udp),
        syn: Math.max(...perCore.syn),
        established: Math.max(...perCore.established),
      },
      known: {
        alone: median(alone.map(others)),
        flooded: median(flooded.map(others)),
        ratio: median(flooded.map((each, i) => others(each) / others(alone[i]!))),
        kept: median(flooded.map(({ count }, i) => count / KNOWN_RATE / (alone[i]!.count / KNOWN_RATE))),
        syns: median(flooded.map(({ sent }) => sent / SYN_EVERY)),
        forwarded: median(flooded.map(({ syns }) => syns)),
      },
      sent: this.#sent,
      drops: this.#drops(),
    };
  }

  async close(): Promise<void> {
    await this.#director.stop('SIGTERM');
    this.#counting[Symbol.dispose]();
    this.#network[Symbol.dispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Sends so many frames, at `rate` a second or as fast as it goes. */
  async #send(generator: Generator, frames: number, rate = 0): Promise<Arrived> {
    const { program, state } = generator;
    const counted = [0, 1].map((kind) => this.#count(kind));
    for (let kind = 0; kind < 2; kind++) this.#arrived[kind * KIND + FIRST] = 0n;
    const worked = processorTime(this.#director.pid);
    state[DUE] = 0n;
    state[INTERVAL] = rate === 0 ? 0n : BigInt(Math.round(1e9 / rate));
    testRun(this.#bpf, program, FRAME, {
      repeat: frames,
      interfaceIndex: this.#home,
      live: { batch: BATCH },
    });
    this.#sent += frames;
    // What waits arrives still, and is no business of the next measurement.
    for (let last = -1; last !== this.#count(0) + this.#count(1); ) {
      last = this.#count(0) + this.#count(1);
      await pause(50);
    }
    const all = this.#count(0) + this.#count(1) - counted[0]! - counted[1]!;
    const perCore = (all / (processorTime(this.#director.pid) - worked)) * 1e9;
    const rateOf = (kind: number): number => {
      const at = kind * KIND;
      const time = Number(this.#arrived[at + LAST]! - this.#arrived[at + FIRST]!);
      return time === 0 ? 0 : ((this.#count(kind) - counted[kind]!) / time) * 1e9;
    };
    const time = Number(state[ENDED]! - state[BEGUN]!);
    const count = this.#count(0) - counted[0]!;
    return { perCore, count, sent: (frames / time) * 1e9, others: rateOf(0), syns: rateOf(1) };
  }

  #count(kind: number): number {
    return Number(this.#arrived[kind * KIND]!);
  }

  #drops(): Record<string, number> {
    const { director, server } = this.#network;
    const of = (namespace: string, device: string): Statistics =>
      (JSON.parse(run('ip', '-n', namespace, '-s', '-j', 'link', 'show', device)) as Link[])[0]!.stats64;
    const counted = {
      'before the director': of(director, 'd0').rx.dropped,
      'queue of upcalls full': of(director, TAP).tx.dropped,
      'handed back, not taken': of(director, TAP).rx.dropped,
      'before the server': of(director, 'd1').tx.dropped + of(server, 'r1').rx.dropped,
    };
    const known = Object.values(counted).reduce((sum, each) => sum + each, 0);
    return { ...counted, elsewhere: this.#sent - (this.#count(0) + this.#count(1)) - known };
  }

  /** Returns each connection's SYN and ACK, one after the other. */
  #pairs(from: number): Generator {
    return this.#program(packet(from, 'ACK DF'), { every: 2, other: packet(from, 'SYN DF'), isPair: true });
  }

  /**
   * Frames of one flow after the other, of so many in turn (a power of two) or never the same again; every so many an
   * `other` one. Source address and port are followed by their complements, so that no checksum changes.
   */
  #program(one: Uint8Array, { flows, every, other, isPair = false }: ProgramOptions = {}): Generator {
    const counter = new BpfMap(this.#bpf, {
      type: 'array',
      keySize: 4,
      valueSize: 8 * GENERATOR,
      entries: 1,
      mapped: true,
    });
    const wide = one[PROTOCOL] === UDP ? [] : complements;
    const send = [bpf.mov.imm(R1, this.#home), bpf.mov.imm(R2, 0), bpf.call(REDIRECT), exit()];
    const make = (frame: Uint8Array, limit: number | undefined) => [
      headers(frame),
      limit === undefined ? [] : bpf.and.imm(R4, limit - 1),
      numbers,
      wide,
      send,
    ];
    const code = assemble([
      bpf.load(W, R7, R1, 0),
      bpf.load(W, R9, R1, 4),
      paced(counter.descriptor),
      bpf.mov.reg(R2, R7),
      bpf.add.imm(R2, HEADERS),
      bpf.jgt.reg(R2, R9, 'out'),
      bpf.mov.reg(R3, R6),
      bpf.load(W, R4, R3, 0),
      bpf.mov.reg(R5, R4),
      bpf.add.imm(R5, 1),
      bpf.store(W, R3, 0, R5),
      every === undefined || !other
        ? []
        : [
            bpf.mov.reg(R5, R4),
            bpf.mod.imm(R5, every),
            isPair ? bpf.div.imm(R4, every) : [],
            bpf.jne.imm(R5, 0, 'one'),
            make(other, isPair ? flows : undefined),
          ],
      at('one', make(one, flows)),
      at('out', bpf.mov.imm(R0, XDP_DROP)),
      exit(),
    ]);
    const program = new Program(this.#bpf, { type: 'xdp', name: 'generator', code });
    return { program, state: new BigUint64Array(counter.mapped().bytes.buffer) };
  }
}

/** 64-bit words at the server, of each kind of frames. */
const KIND = 3;
const FIRST = 1;
const LAST = 2;

/** A generator's 64-bit words: frames so far; when the next is due; ns between two; when the first and the last were sent. */
const GENERATOR = 5;
const DUE = 1;
const INTERVAL = 2;
const BEGUN = 3;
const ENDED = 4;

interface Generator {
  readonly program: Program;
  readonly state: BigUint64Array;
}

/** Looks at the clock until the frame is due, for a few microseconds at most. Leaves the state in r6. */
const paced = (state: number): bpf.Fragment => [
  bpf.loadMapValue(R6, state),
  bpf.call(KTIME_GET_NS),
  bpf.load(DW, R1, R6, 8 * DUE),
  bpf.jne.imm(R1, 0, 'begun'),
  bpf.store(DW, R6, 8 * DUE, R0),
  bpf.store(DW, R6, 8 * BEGUN, R0),
  at('begun', bpf.store(DW, R6, 8 * ENDED, R0)),
  bpf.load(DW, R2, R6, 8 * INTERVAL),
  bpf.load(DW, R1, R6, 8 * DUE),
  bpf.add.reg(R1, R2),
  bpf.store(DW, R6, 8 * DUE, R1),
  bpf.mov.imm(R8, 0),
  at('wait', bpf.load(DW, R1, R6, 8 * DUE)),
  bpf.jge.reg(R0, R1, 'due'),
  bpf.add.imm(R8, 1),
  bpf.jgt.imm(R8, WAITS, 'due'),
  bpf.call(KTIME_GET_NS),
  bpf.jump('wait'),
  at('due', bpf.mov.imm(R8, 0)),
];
const WAITS = 100;

interface ProgramOptions {
  readonly flows?: number;
  readonly every?: number;
  readonly other?: Uint8Array;
  /** The other one is of the same connection, and comes before. */
  readonly isPair?: boolean;
}

interface Statistics {
  readonly rx: { readonly dropped: number };
  readonly tx: { readonly dropped: number };
}
interface Link {
  readonly stats64: Statistics;
}

const TAP = 'lvs-upcall';
/** ms after which the director has read who its neighbors are. */
const SETTLED = 1500;
const SYN_EVERY = (KNOWN_RATE + FLOOD_RATE) / FLOOD_RATE;
const PROTOCOL = 23;
const UDP_CHECKSUM = 40;
/** The second byte of the clients' addresses. */
const FROM = { known: 1, flood: 2, udp: 3, syn: 4, pairs: 5 } as const;

const CONFIG = `method: dr
vips:
  - { interface: d0, address: ${VIP}, prefix: 32 }
services:
  - { tcp: '${VIP}:80', scheduler: rr, destinations: [{ server: ${SERVER} }] }
  - { udp: '${VIP}:80', scheduler: rr, destinations: [{ server: ${SERVER} }] }
`;

/** 64 bytes, with a source address and port whose complements are zeros. */
const packet = (from: number, words: string): Uint8Array<ArrayBuffer> => {
  const octets = new Uint8Array(64);
  const line = `10.${from}.255.255:65535 > ${VIP}:80 ${words}`;
  octets.set(ethernetOf(packetOfLine(line), parseMac(LANE_MACS.d0)!, parseMac(LANE_MACS.g0)!));
  return octets;
};

/** Without a checksum, as UDP may (RFC 768). */
const udpPacket = (from: number): Uint8Array<ArrayBuffer> => {
  const octets = packet(from, 'UDP len=18 DF');
  octets.fill(0, UDP_CHECKSUM, UDP_CHECKSUM + 2);
  return octets;
};

const FRAME = packet(FROM.known, 'ACK len=10 DF');

const headers = (frame: Uint8Array): bpf.Fragment => {
  const view = new DataView(frame.buffer, frame.byteOffset);
  return Array.from({ length: (HEADERS - 2) / 4 + 1 }, (_, i) => Math.min(4 * i, HEADERS - 4)).map((octet) =>
    bpf.storeImm(W, R7, octet, view.getInt32(octet, true)),
  );
};

/** The flow in r4 as port and address; they are left in r5 and r4 as a packet has them. */
const numbers: bpf.Fragment = [
  bpf.mov.reg(R5, R4),
  bpf.and.imm(R5, (1 << PORT_BITS) - 1),
  bpf.add.imm(R5, FIRST_PORT),
  bpf.toBig(R5, 16),
  bpf.store(H, R7, SOURCE_PORT, R5),
  bpf.rsh.imm(R4, PORT_BITS),
  bpf.toBig(R4, 16),
  bpf.store(H, R7, SOURCE_LOW, R4),
  bpf.xor.imm(R4, 0xffff),
  bpf.store(H, R7, IDENTIFICATION, R4),
];
const complements: bpf.Fragment = [
  bpf.store(H, R7, SEQUENCE, R4),
  bpf.xor.imm(R5, 0xffff),
  bpf.store(H, R7, SEQUENCE + 2, R5),
];

/** Counts SYNs and others apart, and drops them. */
const counting = (b: Bpf, counter: number): Program =>
  new Program(b, {
    type: 'xdp',
    name: 'count',
    code: assemble([
      bpf.load(W, R7, R1, 0),
      bpf.load(W, R9, R1, 4),
      bpf.mov.reg(R2, R7),
      bpf.add.imm(R2, HEADERS),
      bpf.jgt.reg(R2, R9, 'out'),
      bpf.loadMapValue(R6, counter),
      bpf.load(B, R1, R7, PROTOCOL),
      bpf.jeq.imm(R1, UDP, 'add'),
      bpf.load(B, R1, R7, FLAGS),
      bpf.jne.imm(R1, SYN, 'add'),
      bpf.add.imm(R6, 8 * KIND),
      at('add', bpf.call(KTIME_GET_NS)),
      bpf.store(DW, R6, 8 * LAST, R0),
      bpf.load(DW, R1, R6, 8 * FIRST),
      bpf.jne.imm(R1, 0, 'count'),
      bpf.store(DW, R6, 8 * FIRST, R0),
      at('count', bpf.mov.imm(R9, 1)),
      bpf.atomic(DW, bpf.ATOMIC_ADD, R6, 0, R9),
      at('out', bpf.mov.imm(R0, XDP_DROP)),
      exit(),
    ]),
  });

const thousands = (value: number): string => `${Math.round(value / 1000)} k`;

const connections = ({ udp, syn, established }: Connections): string =>
  `UDP ${thousands(udp)}  SYN ${thousands(syn)}  SYN and ACK ${thousands(established)}`;

export function formatUpcalls(hook: HookName, figures: UpcallFigures): string {
  const { rates, perCore, known, sent, drops } = figures;
  const lost = Object.entries(drops).filter(([, count]) => count !== 0);
  return [
    `${hook.padEnd(4)} new connections through upcalls, in a second: ${connections(rates)}`,
    `     in a second of processor time: ${connections(perCore)}`,
    `     known connections: ${thousands(known.alone)} packets/s; with ${thousands(known.syns)} SYN/s ${thousands(known.flooded)}, ${known.ratio.toFixed(3)}; arrived ${known.kept.toFixed(3)} (of the SYNs ${thousands(known.forwarded)} forwarded)`,
    `     of ${thousands(sent)} packets dropped: ${lost.map(([where, count]) => `${where} ${thousands(count)}`).join(', ') || 'none'}`,
  ].join('\n');
}

/** ns that all threads of a process had a processor. */
const processorTime = (process: number): number =>
  readdirSync(`/proc/${process}/task`)
    .map((thread) =>
      Number(readFileSync(`/proc/${process}/task/${thread}/schedstat`, 'latin1').split(' ')[0]),
    )
    .reduce((sum, each) => sum + each, 0);

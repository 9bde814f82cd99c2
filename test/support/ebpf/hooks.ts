/** The places where packet programs stand, interpreted: contexts, and the kernel's helpers that change packets. */
import { type Helper, Machine, type Surroundings, TailCall } from './machine.ts';
import { Memory, type Region } from './memory.ts';

/** Octets before and behind a packet in memory. */
const HEADROOM = 256;
const TAILROOM = 64;

/** Numbers of helpers (enum bpf_func_id in include/uapi/linux/bpf.h). */
const MAP_LOOKUP = 1;
const PROCESSOR_ID = 8;
const L4_CSUM_REPLACE = 11;
const TAIL_CALL = 12;
const REDIRECT = 23;
const SKB_PULL_DATA = 39;
const XDP_ADJUST_HEAD = 44;
const SKB_ADJUST_ROOM = 50;
const JIFFIES64 = 118;
const LOOP = 181;

/** Index of the interface that a packet came by. */
const INTERFACE = 1;

/** What a program returns that redirects (include/uapi/linux/bpf.h, pkt_cls.h). */
const REDIRECTED = { xdp: 4, tc: 7 } as const;

export interface InterpretedMaps {
  /** Arrays of one value, by descriptor. */
  readonly arrays: ReadonlyMap<number, Uint8Array>;
  /** Hash maps by descriptor: hexadecimal key, value. */
  readonly hashes?: ReadonlyMap<number, ReadonlyMap<string, Uint8Array>>;
  /** Other maps, by descriptor: how the value of a key is found. */
  readonly lookups?: ReadonlyMap<number, Lookup>;
  /** Program arrays by descriptor: programs by index. */
  readonly programs?: ReadonlyMap<number, ReadonlyMap<number, Uint8Array<ArrayBuffer>>>;
  /** What the kernel's clock of jiffies says; default: 0. */
  readonly jiffies?: bigint;
}

export interface Lookup {
  /** Octets of a key. */
  readonly keySize: number;
  find(key: Uint8Array): Uint8Array | undefined;
}

/** What tc knows of a packet besides its octets. */
export interface PacketFacts {
  /** 0: to this host; see include/uapi/linux/if_packet.h. */
  readonly type?: number;
  /** Payload octets of each piece of a merged packet; 0: it is none. */
  readonly gsoSize?: number;
}

export interface Interpreted {
  readonly result: number;
  readonly packet: Uint8Array;
  /** Interface that it was redirected to. */
  readonly interfaceIndex: number | undefined;
}

/** Runs a program of that hook over a packet. */
export function interpret(
  hook: 'xdp' | 'tc',
  code: Uint8Array<ArrayBuffer>,
  packet: Uint8Array,
  maps: InterpretedMaps,
  { type = 0, gsoSize = 0 }: PacketFacts = {},
): Interpreted {
  const memory = new Memory();
  const buffer = new Uint8Array(HEADROOM + packet.length + TAILROOM);
  buffer.set(packet, HEADROOM);
  const region = memory.map('packet', buffer, HEADROOM, HEADROOM + packet.length);
  const values = new Map([...maps.arrays].map(([fd, bytes]) => [fd, memory.map(`map ${fd}`, bytes).base]));
  const lookups = new Map<number, Lookup>([
    ...(maps.lookups ?? []),
    ...[...(maps.hashes ?? [])].map(([fd, values]): [number, Lookup] => [
      fd,
      { keySize: 20, find: (key) => values.get(Buffer.from(key).toString('hex')) },
    ]),
  ]);
  const named = [...lookups.keys(), ...(maps.programs?.keys() ?? [])];
  const pseudo = new Map(named.map((fd) => [fd, BigInt(fd) << 56n]));
  let interfaceIndex: number | undefined;
  const helpers: Record<number, Helper> = {
    [MAP_LOOKUP]: (_machine, map, key) => {
      const lookup = lookups.get(Number(map >> 56n))!;
      const found = lookup.find(memory.read(key, lookup.keySize));
      return found === undefined ? 0n : memory.map('value', found).base;
    },
    [TAIL_CALL]: (_machine, _context, array, index) => {
      const called = maps.programs?.get(Number(array >> 56n))?.get(Number(index));
      if (called) throw new TailCall(called);
      return -2n;
    },
    [PROCESSOR_ID]: () => 0n,
    [JIFFIES64]: () => maps.jiffies ?? 0n,
    [LOOP]: (machine, turns, visit, state) => {
      let turn = 0n;
      while (turn < turns) if (machine.call(visit, turn++, state) !== 0) break;
      return turn;
    },
    [REDIRECT]: (_machine, to) => {
      interfaceIndex = Number(to);
      return BigInt(REDIRECTED[hook]);
    },
    [XDP_ADJUST_HEAD]: (_machine, _context, by) => {
      const start = region.start + Number(BigInt.asIntN(32, by));
      if (start < 0 || start > region.end) return -22n;
      region.start = start;
      return 0n;
    },
    [SKB_PULL_DATA]: () => 0n,
    [SKB_ADJUST_ROOM]: (_machine, _context, by) => {
      makeRoom(region, Number(BigInt.asIntN(32, by)));
      return 0n;
    },
    [L4_CSUM_REPLACE]: (_machine, _context, offset, from, to, flags) => {
      if (from !== 0n || (flags & 0xfn) !== 0n) throw new Error('only differences are interpreted');
      replaceChecksum(region, Number(offset), Number(to), (flags & 0x20n) !== 0n);
      return 0n;
    },
  };
  const start = () => region.base + BigInt(region.start);
  const end = () => region.base + BigInt(region.end);
  const length = () => BigInt(region.end - region.start);
  const contexts: Record<'xdp' | 'tc', Record<number, () => bigint>> = {
    xdp: { 0: start, 4: end, 12: () => BigInt(INTERFACE) },
    tc: {
      0: length,
      4: () => BigInt(type),
      20: () => 0n,
      40: () => BigInt(INTERFACE),
      76: start,
      80: end,
      176: () => BigInt(gsoSize),
    },
  };
  const surroundings = {
    helpers,
    maps: pseudo,
    values,
    context(offset) {
      const field = contexts[hook][offset];
      if (!field) throw new Error(`a load from the context at ${offset}`);
      return field();
    },
  } satisfies Surroundings;
  const result = runAll(code, memory, surroundings);
  return { result: result | 0, packet: region.bytes.slice(region.start, region.end), interfaceIndex };
}

/** Runs a program, and those that it calls in its place. */
function runAll(code: Uint8Array<ArrayBuffer>, memory: Memory, surroundings: Surroundings): number {
  let next = code;
  for (;;) {
    try {
      return new Machine(next, memory, surroundings).run();
    } catch (called) {
      if (!(called instanceof TailCall)) throw called;
      next = called.program;
    }
  }
}

/** Behind the Ethernet header, as BPF_ADJ_ROOM_MAC has it; less than 0: that much is taken away there. */
function makeRoom(region: Region, by: number): void {
  const header = region.bytes.slice(region.start, region.start + 14);
  region.start -= by;
  region.bytes.set(header, region.start);
  if (by > 0) region.bytes.fill(0, region.start + 14, region.start + 14 + by);
}

/** RFC 1624, over a little-endian machine's words. */
function replaceChecksum(region: Region, offset: number, difference: number, isUdp: boolean): void {
  const view = new DataView(region.bytes.buffer);
  const at = region.start + offset;
  const old = view.getUint16(at, true);
  if (isUdp && old === 0) return;
  // Halves are added, because a sum of 33 bits would lose its carry below.
  let total = (~old & 0xffff) + (difference & 0xffff) + (difference >>> 16);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  const sum = ~total & 0xffff;
  view.setUint16(at, isUdp && sum === 0 ? 0xffff : sum, true);
}

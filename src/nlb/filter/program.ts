/**
 * Emits the filter of a cluster without a director, at the tc hook of each host. Of the packets to the cluster's addresses
 * it passes, to the host's own stack:
 *
 *   1. TCP of a connection that has a socket here, and ICMP errors about one
 *   2. first packets of TCP, and UDP, of the places that this host accepts at the time, while its lease lasts
 *   3. fragments without ports: every host receives them, and only the one that has the first fragment uses them
 *   4. what no rule matches, ICMP included, on the default host, which also answers ARP and neighbor solicitations
 *
 * It drops the rest. The frames have the cluster's MAC address, so the stack ignores them unless the program marks them as
 * the host's: without the program, the host answers nothing.
 */
import { assemble } from '../../ebpf/assemble.ts';
import { KTIME_GET_NS, MAP_LOOKUP, SK_RELEASE, SKB_CHANGE_TYPE, SKC_LOOKUP_TCP } from '../../ebpf/helper.ts';
import {
  ATOMIC_ADD,
  add,
  and,
  at,
  atomic,
  B,
  call,
  DW,
  exit,
  FP,
  type Fragment,
  H,
  jeq,
  jge,
  jgt,
  jlt,
  jne,
  jne32,
  jump,
  load,
  loadMap,
  loadMapValue,
  mov,
  mov32,
  mul32,
  R0,
  R1,
  R2,
  R3,
  R4,
  R5,
  R8,
  rsh,
  rsh32,
  store,
  storeImm,
  toBig,
  W,
  xor32,
} from '../../ebpf/instruction.ts';
import type { NlbCluster, PortRule } from '../../model/nlb.ts';
import { ETHERTYPE, IPV4_TYPE, IPV6_TYPE, NETWORK } from '../../offload/header-fields.ts';
import { CONTEXT, PACKET, tc, unlessReadable } from '../../offload/hooks.ts';
import { type Family, V4, V6 } from '../../offload/parse.ts';
import { type Address, isV4, parseAddress, sameAddress } from '../../wire/address.ts';
import { TCP } from '../../wire/tcp.ts';
import { UDP } from '../../wire/udp.ts';
import {
  LAST_FACTOR,
  LAST_SHIFT,
  NETWORK_BYTES,
  PLACE_SHIFT,
  WORD_FACTOR,
  WORD_SHIFT,
} from '../client-hash.ts';
import { ACCEPTED, ENDING, NOT_ACCEPTED } from '../own-places.ts';
import { GROUP_SHIFT, GROUPS, PLACES } from '../places.ts';
import { readError, readHeader } from './headers.ts';
import { answerArp, answerSolicitation } from './neighbor-answers.ts';
import { clusterAt, IS_FIRST, IS_KNOWN, KEY, PORTS, PROTOCOL, portsAt, TUPLE } from './stack.ts';

/** Counters of the program, in the order of the array. */
export const COUNTERS = [
  'known',
  'new',
  'fragments',
  'default',
  'others',
  'unknown',
  'lapsed',
  'disabled',
  'answers',
] as const;
export type CounterName = (typeof COUNTERS)[number];

/** Offsets of the times: the end of the lease, `endsAt` and `beginsAt` of the host's places. */
export const TIMES = { lease: 0, ends: 8, begins: 16 } as const;
export const RECENT_SHIFT = 30;
export const RECENT_BYTES = 4;

/** Why packets are dropped. */
const REASONS = ['others', 'unknown', 'lapsed', 'disabled'] as const;

export interface FilterMaps {
  /** Array: a byte for each place, by rule. */
  readonly accepts: number;
  /** Array of one value: the times, ns of the monotonic clock, 8 bytes each. */
  readonly times: number;
  /**
   * Array of one value, if a rule has stickiness: when a packet was accepted last, by rule and group of places, 4 bytes each, in
   * units of 2^RECENT_SHIFT ns.
   */
  readonly recent?: number;
  /** Array of one value: the counters, 8 bytes each. */
  readonly counters: number;
}

export interface FilterOptions {
  readonly cluster: Pick<NlbCluster, 'addresses' | 'rules'>;
  readonly seed: number;
  readonly maps: FilterMaps;
  /** MAC addresses of the cluster, and of the host. */
  readonly clusterMac: Uint8Array;
  readonly ownMac: Uint8Array;
}

/* States of sockets (include/net/tcp_states.h), and their offset in struct bpf_sock. */
const TCP_TIME_WAIT = 6;
const TCP_LISTEN = 10;
const SOCKET_STATE = 72;
/** BPF_F_CURRENT_NETNS: the namespace of the packet's device. */
const CURRENT_NAMESPACE = -1;
const PACKET_HOST = 0;

/** Returns the program. */
export function filterCode(options: FilterOptions): Uint8Array<ArrayBuffer> {
  const { maps } = options;
  const addresses = options.cluster.addresses.flatMap((text) => parseAddress(text) ?? []);
  const families = [V4, V6].filter(({ version }) => addresses.some((one) => isV4(one) === (version === 4)));
  const ofFamily = ({ version }: Family) => addresses.filter((one) => isV4(one) === (version === 4));
  // The kernel refuses programs with instructions that are never reached.
  const some = (is: (rule: PortRule) => boolean) => options.cluster.rules.some(is);
  const last = options.cluster.rules.length - 1;
  const unlessDefault = [
    checkLease(maps, 'pass'),
    loadPlaces(maps, last, 'pass'),
    load(B, R1, R0, 0),
    jeq.imm(R1, 0, 'pass'),
  ];
  return assemble([
    mov.reg(CONTEXT, R1),
    tc.begin,
    unlessReadable(NETWORK + V4.header, 'pass'),
    load(H, R1, PACKET, ETHERTYPE),
    families.map((family) => jeq.imm(R1, family.version === 4 ? IPV4_TYPE : IPV6_TYPE, family.label('ip'))),
    families.includes(V4)
      ? answerArp({ ...options, addresses: ofFamily(V4), unlessDefault, count: count(maps, 'answers') })
      : jump('pass'),
    families.map((family) => [
      family.version === 6
        ? answerSolicitation({
            ...options,
            addresses: ofFamily(V6),
            unlessDefault,
            count: count(maps, 'answers'),
          })
        : at(family.label('ip'), mov.imm(R1, 0)),
      readHeader(family, ofFamily(family)),
      readError(family),
      decide(family, options, ofFamily(family)),
    ]),
    at('known', count(maps, 'known')),
    jump('mine'),
    some(({ protocol, hosts }) => protocol !== 'any' && hosts !== 'disabled')
      ? [at('new', count(maps, 'new')), jump('mine')]
      : [],
    at('default', count(maps, 'default')),
    jump('mine'),
    at('fragment', count(maps, 'fragments')),
    at('mine', mov.reg(R1, CONTEXT)),
    mov.imm(R2, PACKET_HOST),
    call(SKB_CHANGE_TYPE),
    at('pass', mov.imm(R0, tc.pass)),
    exit(),
    REASONS.filter((reason) => reason !== 'disabled' || some(({ hosts }) => hosts === 'disabled')).map(
      (reason) => [at(reason, count(maps, reason)), jump('drop')],
    ),
    at('drop', mov.imm(R0, tc.drop)),
    exit(),
  ]);
}

/** Adds 1 to a counter. Clobbers r1, r2. */
const count = ({ counters }: FilterMaps, name: CounterName): Fragment => [
  loadMapValue(R1, counters, 8 * COUNTERS.indexOf(name)),
  mov.imm(R2, 1),
  atomic(DW, ATOMIC_ADD, R1, 0, R2),
];

/** Jumps to `target` if the lease is over. Clobbers r0 to r5. */
const checkLease = ({ times }: FilterMaps, target: string): Fragment => [
  call(KTIME_GET_NS),
  loadMapValue(R1, times),
  load(DW, R1, R1, TIMES.lease),
  jge.reg(R0, R1, target),
];

/** Sets r0 to the address of the places of a rule. Clobbers r1 to r5. */
const loadPlaces = ({ accepts }: FilterMaps, rule: number, none: string): Fragment => [
  storeImm(W, FP, KEY, rule),
  loadMap(R1, accepts),
  mov.reg(R2, FP),
  add.imm(R2, KEY),
  call(MAP_LOOKUP),
  jeq.imm(R0, 0, none),
];

/** Decides by the tuple and the protocol on the stack. */
function decide(
  family: Family,
  { cluster, maps, seed }: FilterOptions,
  addresses: readonly Address[],
): Fragment {
  const { address, label } = family;
  // Packets of connections count as packets of the client, too.
  const known = cluster.rules.some(({ stickiness }) => stickiness > 0) ? label('seen') : 'known';
  const rules = cluster.rules
    .map((rule, i) => ({
      rule,
      i,
      only: rule.address === undefined ? undefined : parseAddress(rule.address),
    }))
    .filter(({ only }) => !only || addresses.some((one) => sameAddress(one, only)));
  return [
    at(label('socket'), mov.reg(R1, CONTEXT)),
    mov.reg(R2, FP),
    add.imm(R2, TUPLE),
    mov.imm(R3, 2 * address + PORTS),
    mov.imm(R4, CURRENT_NAMESPACE),
    mov.imm(R5, 0),
    call(SKC_LOOKUP_TCP),
    jeq.imm(R0, 0, label('no-socket')),
    load(W, R8, R0, SOCKET_STATE),
    mov.reg(R1, R0),
    call(SK_RELEASE),
    jeq.imm(R8, TCP_LISTEN, label('no-socket')),
    jne.imm(R8, TCP_TIME_WAIT, known),
    // A client that uses its port again: the place decides.
    load(DW, R1, FP, IS_FIRST),
    jeq.imm(R1, 0, known),
    at(label('no-socket'), load(DW, R1, FP, IS_FIRST)),
    jeq.imm(R1, 0, 'unknown'),
    at(label('rules'), load(DW, R5, FP, PROTOCOL)),
    load(H, R4, FP, portsAt(family) + 2),
    toBig(R4, 16),
    rules.map(({ rule, i, only }) => branchToRule(family, rule, `${i}-${family.version}`, only)),
    rules.map(({ rule, i }) => [
      at(`${i}-${family.version}`, rule.stickiness === 0 && known !== 'known' ? passKnown : mov.imm(R1, 0)),
      rule.hosts === 'disabled' ? jump('disabled') : decideByPlace(family, rule, i, { maps, seed }),
    ]),
    known === 'known' ? [] : [at(known, storeImm(DW, FP, IS_KNOWN, 1)), jump(label('rules'))],
  ];
}

/** Jumps to `known` for packets of connections. Clobbers r1. */
const passKnown: Fragment = [load(DW, R1, FP, IS_KNOWN), jne.imm(R1, 0, 'known')];

/** Accepts a packet by the place of its client, which belongs to this host until, from, or at any time. */
function decideByPlace(
  family: Family,
  rule: PortRule,
  i: number,
  { maps, seed }: Pick<FilterOptions, 'maps' | 'seed'>,
): Fragment {
  const { times, recent } = maps;
  const [accepted, isTimed, begins, isKnown] = ['accepted', 'timed', 'begins', 'known'].map(Symbol) as [
    symbol,
    symbol,
    symbol,
    symbol,
  ];
  const touch: Fragment[] =
    rule.stickiness > 0 && recent !== undefined
      ? [
          loadMapValue(R3, recent, i * GROUPS * RECENT_BYTES),
          rsh.imm(R1, GROUP_SHIFT),
          mul32.imm(R1, RECENT_BYTES),
          add.reg(R3, R1),
          rsh.imm(R8, RECENT_SHIFT),
          store(W, R3, 0, R8),
        ]
      : [];
  return [
    call(KTIME_GET_NS),
    mov.reg(R8, R0),
    loadPlaces(maps, i, 'drop'),
    hash(family, rule, seed),
    // The verifier of Linux 6.1 does not know the bound otherwise.
    and.imm(R1, PLACES - 1),
    rule.stickiness > 0 ? [load(DW, R2, FP, IS_KNOWN), jne.imm(R2, 0, isKnown)] : [],
    loadMapValue(R3, times),
    load(DW, R4, R3, TIMES.lease),
    jge.reg(R8, R4, 'lapsed'),
    add.reg(R0, R1),
    load(B, R2, R0, 0),
    jeq.imm(R2, NOT_ACCEPTED, 'others'),
    jne.imm(R2, ACCEPTED, isTimed),
    at(accepted, [...touch, jump(rule.protocol === 'any' ? 'default' : 'new')]),
    at(isTimed, load(DW, R4, R3, TIMES.ends)),
    jne.imm(R2, ENDING, begins),
    jge.reg(R8, R4, 'others'),
    jump(accepted),
    at(begins, load(DW, R4, R3, TIMES.begins)),
    jge.reg(R8, R4, accepted),
    jump('others'),
    rule.stickiness > 0 ? [at(isKnown, [...touch, jump('known')])] : [],
  ];
}

/** Jumps to `target` if the rule matches: protocol in r5, port in r4. Clobbers r1. */
function branchToRule(family: Family, rule: PortRule, target: string, only: Address | undefined): Fragment {
  if (rule.protocol === 'any') return jump(target);
  const next = Symbol('next');
  const bytes = new DataView(new ArrayBuffer(16));
  for (const [i, word] of (only ?? []).entries()) bytes.setUint32(4 * i, word);
  const words = family.version === 4 ? [3] : [0, 1, 2, 3];
  return [
    jne.imm(R5, rule.protocol === 'tcp' ? TCP : UDP, next),
    jlt.imm(R4, rule.first, next),
    jgt.imm(R4, rule.last, next),
    only
      ? words.map((word, i) => [
          load(W, R1, FP, clusterAt(family) + 4 * i),
          jne32.imm(R1, bytes.getInt32(4 * word, true), next),
        ])
      : [],
    jump(target),
    at(next, mov.imm(R1, 0)),
  ];
}

/** Sets r1 to the place of the client, as `placeOf` does. Clobbers r2. */
function hash({ version, address }: Family, { affinity }: PortRule, seed: number): Fragment {
  const bytes = affinity === 'network' ? NETWORK_BYTES[version] : address;
  const take: Fragment = [
    xor32.reg(R1, R2),
    mul32.imm(R1, WORD_FACTOR),
    mov32.reg(R2, R1),
    rsh32.imm(R2, WORD_SHIFT),
    xor32.reg(R1, R2),
  ];
  return [
    mov32.imm(R1, seed | 0),
    Array.from({ length: address / 4 }, (_, i) => {
      const left = bytes - 4 * i;
      if (left <= 0) return [mov.imm(R2, 0), take];
      return [load(W, R2, FP, TUPLE + 4 * i), left >= 4 ? [] : and.imm(R2, 2 ** (8 * left) - 1), take];
    }),
    affinity === 'none' ? [load(H, R2, FP, portsAt(version === 4 ? V4 : V6)), take] : [],
    mul32.imm(R1, LAST_FACTOR),
    mov32.reg(R2, R1),
    rsh32.imm(R2, LAST_SHIFT),
    xor32.reg(R1, R2),
    rsh.imm(R1, PLACE_SHIFT),
  ];
}

/** Emits the decision about a packet to the cluster: by its socket, its rule, and the place of its client. */
import { KTIME_GET_NS } from '../../ebpf/helper.ts';
import {
  add,
  and,
  at,
  B,
  call,
  DW,
  FP,
  type Fragment,
  H,
  jeq,
  jge,
  jgt,
  jlt,
  jne,
  jne32,
  jset,
  jump,
  load,
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
import type { PortRule } from '../../model/nlb.ts';
import { type Family, V4, V6 } from '../../offload/parse.ts';
import { type Address, parseAddress, sameAddress } from '../../wire/address.ts';
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
import {
  type FilterMaps,
  type FilterOptions,
  loadPlaces,
  loadSuspended,
  RECENT_BYTES,
  RECENT_SHIFT,
  TIMES,
} from './maps.ts';
import { loadSocketState, TCP_LISTEN, TCP_NEW_SYN_RECV, TCP_TIME_WAIT } from './socket.ts';
import { clusterAt, IS_FIRST, IS_KNOWN, PROTOCOL, portsAt, TUPLE } from './stack.ts';

/** Decides by the tuple and the protocol on the stack. */
export function decide(
  family: Family,
  { cluster, maps, seed }: FilterOptions,
  addresses: readonly Address[],
): Fragment {
  const { label } = family;
  const known = label('seen');
  // Packets of connections count as packets of the client, too.
  const isSticky = cluster.rules.some(({ stickiness }) => stickiness > 0);
  const rules = cluster.rules
    .map((rule, i) => ({
      rule,
      i,
      only: rule.address === undefined ? undefined : parseAddress(rule.address),
    }))
    .filter(({ only }) => !only || addresses.some((one) => sameAddress(one, only)));
  return [
    at(label('socket'), loadSocketState(family, label('no-socket'))),
    jeq.imm(R8, TCP_LISTEN, label('no-socket')),
    jeq.imm(R8, TCP_TIME_WAIT, label('again')),
    jne.imm(R8, TCP_NEW_SYN_RECV, known),
    // A client that uses its port again, or repeats its first packet: the place decides.
    at(label('again'), load(DW, R1, FP, IS_FIRST)),
    jeq.imm(R1, 0, known),
    at(label('no-socket'), load(DW, R1, FP, IS_FIRST)),
    jeq.imm(R1, 0, 'unknown'),
    at(label('rules'), load(DW, R5, FP, PROTOCOL)),
    load(H, R4, FP, portsAt(family) + 2),
    toBig(R4, 16),
    rules.map(({ rule, i, only }) => branchToRule(family, rule, `${i}-${family.version}`, only)),
    rules.map(({ rule, i }) => [
      at(`${i}-${family.version}`, passKnown(rule, i, maps)),
      rule.hosts === 'disabled' ? jump('disabled') : decideByPlace(family, rule, i, { maps, seed }),
    ]),
    at(known, storeImm(DW, FP, IS_KNOWN, 1)),
    isSticky ? [] : [loadSuspended(maps), jeq.imm(R1, 0, 'known')],
    jump(label('rules')),
  ];
}

/** Drops packets of suspended rules, and passes those of connections unless the rule notes its clients. Clobbers r1. */
const passKnown = ({ stickiness }: PortRule, i: number, maps: FilterMaps): Fragment => [
  loadSuspended(maps),
  jset.imm(R1, 2 ** i, 'suspended'),
  stickiness > 0 ? [] : [load(DW, R1, FP, IS_KNOWN), jne.imm(R1, 0, 'known')],
];

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

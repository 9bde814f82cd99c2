/** Emits a program that decapsulates IP in IP packets for a VIP, for real servers whose kernel has no tunnel device. */
import { assemble } from '../ebpf/assemble.ts';
import { FIXED_GSO, REDIRECT, ROOM_MAC, SKB_ADJUST_ROOM, TO_INGRESS } from '../ebpf/helper.ts';
import {
  and,
  at,
  B,
  call,
  exit,
  FP,
  type Fragment,
  H,
  jeq,
  jne,
  jne32,
  jump,
  load,
  mov,
  R0,
  R1,
  R2,
  R3,
  R4,
  R5,
  rsh,
  store,
  storeImm,
  W,
} from '../ebpf/instruction.ts';
import { type Address, isV4 } from '../wire/address.ts';
import {
  CONGESTED,
  CONGESTED_6,
  ETHERTYPE,
  FRAGMENT,
  IP_IN_IP,
  IPV4_TYPE,
  IPV6_TYPE,
  IS_FRAGMENT,
  NETWORK,
  PLAIN_IPV4,
  TOS,
} from './header-fields.ts';
import { adjustHead, CONTEXT, type Hook, PACKET, SKB_INTERFACE, unlessReadable } from './hooks.ts';
import type { Family } from './parse.ts';
import { V4, V6 } from './parse.ts';

/** Stack offset of the MAC addresses. */
const MACS = -16;

/**
 * Returns a program that removes the outer header of packets whose inner header is for a VIP. It passes all others:
 * fragments, headers with options, and packets with a congestion mark, which has to be carried over (RFC 6040).
 */
export function decapCode(hook: Hook, vips: readonly Address[]): Uint8Array<ArrayBuffer> {
  const families = [V4, V6].filter(({ version }) => vips.some((vip) => isV4(vip) === (version === 4)));
  const shortest = NETWORK + V4.header + V4.header;
  return assemble([
    mov.reg(CONTEXT, R1),
    hook.begin,
    unlessReadable(shortest, 'pass'),
    load(H, R1, PACKET, ETHERTYPE),
    jeq.imm(R1, IPV6_TYPE, 'outer6'),
    jne.imm(R1, IPV4_TYPE, 'pass'),
    load(B, R1, PACKET, NETWORK),
    jne.imm(R1, PLAIN_IPV4, 'pass'),
    load(H, R1, PACKET, FRAGMENT),
    and.imm(R1, IS_FRAGMENT),
    jne.imm(R1, 0, 'pass'),
    load(B, R1, PACKET, TOS),
    and.imm(R1, CONGESTED),
    jeq.imm(R1, CONGESTED, 'pass'),
    branchByInner(V4, families),
    at('outer6', unlessReadable(NETWORK + V6.header + V4.header, 'pass')),
    load(H, R1, PACKET, NETWORK),
    and.imm(R1, CONGESTED_6),
    jeq.imm(R1, CONGESTED_6, 'pass'),
    branchByInner(V6, families),
    [V4, V6].flatMap((outer) => families.map((inner) => decapsulate(outer, inner, hook, vips))),
    at('pass', mov.imm(R0, hook.pass)),
    exit(),
    at('drop', mov.imm(R0, hook.drop)),
    exit(),
  ]);
}

const nameOf = (outer: Family, inner: Family): string => `${inner.version}in${outer.version}`;

const branchByInner = (outer: Family, families: readonly Family[]): Fragment => [
  load(B, R1, PACKET, outer.protocol),
  families.map((inner) => jeq.imm(R1, IP_IN_IP[inner.version], nameOf(outer, inner))),
  jump('pass'),
];

function decapsulate(outer: Family, inner: Family, hook: Hook, vips: readonly Address[]): Fragment {
  const network = NETWORK + outer.header;
  const name = nameOf(outer, inner);
  const mine = vips.filter((vip) => isV4(vip) === (inner.version === 4));
  const type = inner.version === 4 ? IPV4_TYPE : IPV6_TYPE;
  return [
    at(name, unlessReadable(network + inner.header, 'pass')),
    load(B, R1, PACKET, network),
    rsh.imm(R1, 4),
    jne.imm(R1, inner.version, 'pass'),
    mine.map((vip) => jumpIfFor(vip, outer.header + inner.dst, `${name}-mine`)),
    jump('pass'),
    at(
      `${name}-mine`,
      hook.name === 'xdp'
        ? [
            [0, 4, 8].map((i) => [load(W, R1, PACKET, i), store(W, FP, MACS + i, R1)]),
            mov.imm(R2, outer.header),
            adjustHead,
            hook.reload(NETWORK),
            [0, 4, 8].map((i) => [load(W, R1, FP, MACS + i), store(W, PACKET, i, R1)]),
          ]
        : [
            mov.reg(R1, CONTEXT),
            mov.imm(R2, -outer.header),
            mov.imm(R3, ROOM_MAC),
            mov.imm(R4, FIXED_GSO),
            mov.imm(R5, 0),
            call(SKB_ADJUST_ROOM),
            jne.imm(R0, 0, 'drop'),
            hook.reload(NETWORK),
          ],
    ),
    storeImm(H, PACKET, ETHERTYPE, type),
    hook.name === 'tc' && inner.version !== outer.version ? receiveAgain : jump('pass'),
  ];
}

/**
 * The interface receives the packet again, because the kernel's own note of the packet's protocol is still that of the
 * outer header: it is set by the Ethernet header of what an interface receives (eth_type_trans). The flags of
 * bpf_skb_adjust_room that change it require Linux 6.3.
 */
const receiveAgain: Fragment = [
  load(W, R1, CONTEXT, SKB_INTERFACE),
  mov.imm(R2, TO_INGRESS),
  call(REDIRECT),
  exit(),
];

/** Jumps to `target` if the address at `offset` of the packet is `vip`. Clobbers r1. */
export function jumpIfFor(vip: Address, offset: number, target: string): Fragment {
  const next = Symbol('next');
  const octets = new DataView(new ArrayBuffer(16));
  for (const [i, word] of vip.entries()) octets.setUint32(4 * i, word);
  const words = isV4(vip) ? [3] : [0, 1, 2, 3];
  return [
    words.map((word, i) => [
      load(W, R1, PACKET, offset + 4 * i),
      jne32.imm(R1, octets.getInt32(4 * word, true), next),
    ]),
    jump(target),
    at(next, mov.imm(R1, 0)),
  ];
}

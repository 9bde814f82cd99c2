/** Emits tunnels: IP in IP, GUE and GRE, either IP version in either, as src/forwarding/tunnel.ts makes them. */
import {
  ENCAP_L3_IPV4,
  ENCAP_L3_IPV6,
  ENCAP_L4_GRE,
  ENCAP_L4_UDP,
  FIXED_GSO,
  ROOM_MAC,
  SKB_ADJUST_ROOM,
} from '../ebpf/helper.ts';
import {
  ATOMIC_ADD,
  add,
  and,
  at,
  atomic,
  B,
  call,
  DW,
  FETCH,
  FP,
  type Fragment,
  H,
  jeq,
  jgt,
  jlt,
  jne,
  jump,
  type Label,
  load,
  loadImm64,
  loadMapValue,
  lsh,
  mov,
  neg,
  or,
  R0,
  R1,
  R2,
  R3,
  R4,
  R5,
  type Register,
  rsh,
  store,
  storeImm,
  sub,
  toBig,
  W,
} from '../ebpf/instruction.ts';
import { MAPPED_WORD } from '../table/packet-order.ts';
import { DESTINATION, NEXT_HOP, SETTINGS, TUNNEL } from '../table/record-layout.ts';
import { IPV4_HEADER } from '../wire/ipv4.ts';
import { IPV6_HEADER, MIN_MTU6 } from '../wire/ipv6.ts';
import { UDP } from '../wire/udp.ts';
import type { Arrays } from './arrays.ts';
import {
  CONGESTED,
  DF,
  ETHERTYPE,
  FLOW_LABEL,
  FRAGMENT,
  GRE,
  HEADER_CHECKSUM,
  IDENTIFICATION,
  IP_IN_IP,
  IPV4_TYPE,
  IPV6_TYPE,
  NETWORK,
  PAYLOAD_LENGTH,
  PLAIN_IPV4,
  VERSION_6,
} from './header-fields.ts';
import { adjustHead, CONTEXT, HOP_AT, type Hook, PACKET, untag } from './hooks.ts';
import { type Family, V4, V6 } from './parse.ts';
import { age } from './rewrite-steps.ts';
import { OVERHEAD, RECORD } from './stack.ts';
import {
  complement,
  GRE_HEADER,
  GUE_HEADERS,
  greHeader,
  gueHeaders,
  INNER,
  innerLength,
  LONG_GRE_HEADER,
  SUMMED,
  unlessSummed,
} from './tunnel-headers.ts';

/** The last word of an address of 16 bytes: an IPv4 address. */
const LAST_WORD = 12;
/** Covers every OVERHEAD: the bounds that the verifier needs. */
const OVERHEAD_BITS = 0x3f;
const TYPE_BITS = TUNNEL.csum - 1;

/**
 * Loads the bytes of a tunnel's headers, to the destination at r0, into r3; jumps to `accepted`, or to `miss` if the director has to
 * encapsulate the packet. Clobbers r1, r2 and r4.
 */
export function acceptTunneled(family: Family, hook: Hook, miss: Label): Fragment {
  const gre = Symbol('gre');
  const summed = Symbol('summed');
  const plain = Symbol('plain');
  const ipv6 = Symbol('in ipv6');
  return [
    load(H, R4, R0, DESTINATION.tunnel),
    mov.imm(R3, 0),
    mov.reg(R1, R4),
    and.imm(R1, TYPE_BITS),
    jeq.imm(R1, TUNNEL.ipip, plain),
    and.imm(R4, SUMMED),
    jeq.imm(R1, TUNNEL.gre, gre),
    jne.imm(R1, TUNNEL.gue, miss),
    mov.imm(R3, GUE_HEADERS),
    jeq.imm(R4, 0, plain),
    jump(summed),
    at(gre, mov.imm(R3, GRE_HEADER)),
    jeq.imm(R4, 0, plain),
    mov.imm(R3, LONG_GRE_HEADER),
    at(summed, unlessSummed(family, miss)),
    // Segments of a merged packet would all get the first one's checksum: the kernel has no flag for it here.
    hook.unlessSingle(miss),
    at(plain, unlessIpv4(ipv6)),
    add.imm(R3, IPV4_HEADER),
    jump(family.label('accepted')),
    at(ipv6, add.imm(R3, IPV6_HEADER)),
    // A link that is too narrow for IPv6 carries no tunnel: the director reports that.
    mov.reg(R1, R3),
    add.imm(R1, MIN_MTU6),
    load(H, R4, HOP_AT, NEXT_HOP.mtu),
    jlt.reg(R4, R1, miss),
    jump(family.label('accepted')),
  ];
}

/** Jumps to `other` unless the address of the record at r0 is an IPv4 address. Clobbers r1 and r4. */
const unlessIpv4 = (other: Label): Fragment => [
  load(DW, R1, R0, DESTINATION.address),
  jne.imm(R1, 0, other),
  load(W, R1, R0, DESTINATION.address + 8),
  loadImm64(R4, MAPPED_WORD, 0),
  jne.reg(R1, R4, other),
];

/** Encapsulates a packet that `acceptTunneled` has accepted, and jumps to `transmit`. Clobbers r0 to r5 and r8. */
export function encapsulate(family: Family, hook: Hook, arrays: Arrays): Fragment {
  const ipv6 = Symbol('in ipv6');
  return [
    load(DW, R0, FP, RECORD),
    unlessIpv4(ipv6),
    inside(V4, family, hook, outerIpv4(family, arrays)),
    at(ipv6, inside(V6, family, hook, outerIpv6(family))),
  ];
}

/** `header` writes the outer header with the protocol in r5 and the record at r0, and clobbers r1 to r4. */
function inside(outer: Family, inner: Family, hook: Hook, header: Fragment): Fragment {
  const gue = Symbol('gue');
  const gre = Symbol('gre');
  const shimmed = Symbol('shimmed');
  return [
    age(inner),
    grow(outer, inner, hook),
    storeImm(H, PACKET, ETHERTYPE, outer.version === 4 ? IPV4_TYPE : IPV6_TYPE),
    load(DW, R0, FP, RECORD),
    load(H, R1, R0, DESTINATION.tunnel),
    and.imm(R1, TYPE_BITS),
    jeq.imm(R1, TUNNEL.gue, gue),
    jeq.imm(R1, TUNNEL.gre, gre),
    mov.imm(R5, IP_IN_IP[inner.version]),
    jump(shimmed),
    at(gue, gueHeaders(outer, inner)),
    mov.imm(R5, UDP),
    jump(shimmed),
    at(gre, greHeader(outer, inner)),
    mov.imm(R5, GRE),
    at(shimmed, header),
    jump('transmit'),
  ];
}

/**
 * Makes room for OVERHEAD bytes behind layer 2, makes the headers readable again, and sets INNER to where PACKET would be if the
 * inner packet were alone. Clobbers r0 to r5.
 */
const grow = (outer: Family, inner: Family, hook: Hook): Fragment => [
  hook.name === 'xdp'
    ? [untag(), load(DW, R2, FP, OVERHEAD), neg(R2), adjustHead]
    : [
        roomFlags(outer),
        mov.reg(R1, CONTEXT),
        load(DW, R2, FP, OVERHEAD),
        mov.imm(R3, ROOM_MAC),
        mov.imm(R5, 0),
        call(SKB_ADJUST_ROOM),
        jne.imm(R0, 0, 'drop'),
      ],
  hook.reload(outer.transport + GUE_HEADERS),
  load(DW, R5, FP, OVERHEAD),
  and.imm(R5, OVERHEAD_BITS),
  mov.reg(INNER, PACKET),
  add.reg(INNER, R5),
  mov.reg(R2, INNER),
  add.imm(R2, inner.transport + 4),
  jgt.reg(R2, R4, 'drop'),
];

/** tc: loads the flags by which the kernel knows how to segment a merged packet into r4. Clobbers r0 and r1. */
function roomFlags({ version }: Family): Fragment {
  const gue = Symbol('gue');
  const gre = Symbol('gre');
  const done = Symbol('done');
  return [
    load(DW, R0, FP, RECORD),
    load(H, R1, R0, DESTINATION.tunnel),
    and.imm(R1, TYPE_BITS),
    mov.imm(R4, FIXED_GSO | (version === 4 ? ENCAP_L3_IPV4 : ENCAP_L3_IPV6)),
    jeq.imm(R1, TUNNEL.gue, gue),
    jeq.imm(R1, TUNNEL.gre, gre),
    jump(done),
    at(gue, or.imm(R4, ENCAP_L4_UDP)),
    jump(done),
    at(gre, or.imm(R4, ENCAP_L4_GRE)),
    at(done, mov.imm(R1, 0)),
  ];
}

/** Loads the inner packet's TOS or traffic class into `into`. */
const trafficClass = ({ version }: Family, into: Register): Fragment =>
  version === 4
    ? load(B, into, INNER, NETWORK + 1)
    : [load(H, into, INNER, NETWORK), toBig(into, 16), rsh.imm(into, 4), and.imm(into, 0xff)];

/** Clears a congestion mark for the outer header; routers may mark it again (RFC 3168 section 9.1.1). Clobbers r1. */
function withoutMark(tos: Register): Fragment {
  const unmarked = Symbol('unmarked');
  return [
    mov.reg(R1, tos),
    and.imm(R1, CONGESTED),
    jne.imm(R1, CONGESTED, unmarked),
    sub.imm(tos, 1),
    at(unmarked, mov.reg(R1, tos)),
  ];
}

/**
 * Writes the outer addresses, those of the next hop's source and of the destination; `each` follows every word, which is in r1.
 * Clobbers r1.
 */
const outerAddresses = ({ version, src, dst }: Family, each: Fragment = []): Fragment =>
  (version === 4 ? [0] : [0, 4, 8, 12]).map((word) => {
    const field = version === 4 ? LAST_WORD : word;
    return [
      load(W, R1, HOP_AT, NEXT_HOP.source + field),
      store(W, PACKET, src + word, R1),
      each,
      load(W, R1, R0, DESTINATION.address + field),
      store(W, PACKET, dst + word, R1),
      each,
    ];
  });

/** Writes an outer IPv4 header, word by word, and sums the words in r3. */
const outerIpv4 = (inner: Family, arrays: Arrays): Fragment => [
  trafficClass(inner, R3),
  withoutMark(R3),
  lsh.imm(R3, 8),
  or.imm(R3, PLAIN_IPV4),
  innerLength(inner, R4),
  load(DW, R1, FP, OVERHEAD),
  add.reg(R4, R1),
  toBig(R4, 16),
  lsh.imm(R4, 16),
  or.reg(R3, R4),
  store(W, PACKET, NETWORK, R3),
  identification(inner, arrays),
  store(W, PACKET, IDENTIFICATION, R4),
  add.reg(R3, R4),
  load(B, R1, INNER, inner.ttl),
  lsh.imm(R5, 8),
  or.reg(R1, R5),
  store(W, PACKET, V4.ttl, R1),
  add.reg(R3, R1),
  outerAddresses(V4, add.reg(R3, R1)),
  complement(R3),
  store(H, PACKET, HEADER_CHECKSUM, R3),
];

/**
 * Loads identification, flags and fragment offset of the outer header into r4, as in a packet: DF of an inner IPv4 header, and then
 * identification 0. Without DF the next number, since the outer packet may be fragmented (RFC 6864). Clobbers r1 and r2.
 */
function identification({ version }: Family, { settings }: Arrays): Fragment {
  const whole = Symbol('whole');
  return [
    version === 4
      ? [load(H, R4, INNER, FRAGMENT), and.imm(R4, DF), lsh.imm(R4, 16), jne.imm(R4, 0, whole)]
      : [],
    loadMapValue(R1, settings, SETTINGS.identification),
    mov.imm(R4, 1),
    atomic(W, ATOMIC_ADD | FETCH, R1, 0, R4),
    toBig(R4, 16),
    version === 4 ? at(whole, mov.reg(R1, R4)) : [],
  ];
}

/** Writes an outer IPv6 header with flow label 0. */
const outerIpv6 = (inner: Family): Fragment => [
  trafficClass(inner, R3),
  withoutMark(R3),
  rsh.imm(R1, 4),
  or.imm(R1, VERSION_6),
  store(B, PACKET, NETWORK, R1),
  lsh.imm(R3, 4),
  store(B, PACKET, NETWORK + 1, R3),
  storeImm(H, PACKET, FLOW_LABEL, 0),
  innerLength(inner, R4),
  load(DW, R1, FP, OVERHEAD),
  add.reg(R4, R1),
  sub.imm(R4, IPV6_HEADER),
  toBig(R4, 16),
  store(H, PACKET, PAYLOAD_LENGTH, R4),
  store(B, PACKET, V6.protocol, R5),
  load(B, R1, INNER, inner.ttl),
  store(B, PACKET, V6.ttl, R1),
  outerAddresses(V6),
];

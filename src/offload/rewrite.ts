/** What the forwarding methods do to a packet, emitted: the time to live, NAT, tunnels, and the counting of it all. */

import {
  ENCAP_L3_IPV4,
  ENCAP_L3_IPV6,
  FIXED_GSO,
  L4_CSUM_REPLACE,
  MARK_MANGLED_0,
  PSEUDO_HEADER,
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
  FP,
  type Fragment,
  H,
  jeq,
  jgt,
  jne,
  jump,
  load,
  loadImm64,
  lsh,
  mov,
  mul,
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
  xor,
} from '../ebpf/instruction.ts';
import { TCP, TCP_CHECKSUM, TCP_HEADER } from '../wire/tcp.ts';
import { UDP, UDP_CHECKSUM, UDP_HEADER } from '../wire/udp.ts';
import {
  ACTION_AT,
  adjustHead,
  CONTEXT,
  type Hook,
  IPV4_TYPE,
  IPV6_TYPE,
  NETWORK,
  PACKET,
  SKB_GSO_SEGMENTS,
  SKB_GSO_SIZE,
  SLOT_AT,
  untag,
} from './hook.ts';
import {
  ACTION_ADDRESS,
  ACTION_ADDRESS_CHANGE,
  ACTION_HEADER_CHANGE,
  ACTION_KIND,
  ACTION_MTU,
  ACTION_PORT,
  ACTION_PORT_CHANGE,
  ACTION_SOURCE,
  ACTION_TRANSPORT_CHANGE,
  KINDS,
  PACKET_SHIFT,
  SLOTS,
} from './layout.ts';
import { type Family, loadLength, TOTAL_LENGTH, V4, V6 } from './parse.ts';

/** Stack: what is to be added to the slot's counts (tc). */
const COUNT = -16;
/** The IPv4 header's checksum. */
const HEADER_CHECKSUM = NETWORK + 10;
/** DF, as read by this machine. */
const DONT_FRAGMENT_LE = 0x0040;
const ETHERTYPE = 12;

/** Folds a sum of two 16-bit words (three: fold twice) into 16 bits. Loses `spare`. */
const fold = (total: Register, spare: Register): Fragment => [
  mov.reg(spare, total),
  rsh.imm(spare, 16),
  and.imm(total, 0xffff),
  add.reg(total, spare),
];

/** The checksum at `offset` after a change (RFC 1624) of 16 bits in `change`. Loses r1 and `change`. */
const updateChecksum = (offset: number, change: Register, finish: Fragment = []): Fragment => [
  load(H, R1, PACKET, offset),
  xor.imm(R1, 0xffff),
  add.reg(R1, change),
  fold(R1, change),
  xor.imm(R1, 0xffff),
  finish,
  store(H, PACKET, offset, R1),
];

/** TTL less one, in the lower octet of its word as this machine reads it: a change of -1. */
const TTL_CHANGE = 0xfffe;

const age = ({ ttl, version }: Family): Fragment => [
  load(B, R1, PACKET, ttl),
  sub.imm(R1, 1),
  store(B, PACKET, ttl, R1),
  version === 4 ? [mov.imm(R2, TTL_CHANGE), updateChecksum(HEADER_CHECKSUM, R2)] : [],
];

/**
 * The packet's length into r3 and, where it is too long for the action, off to `miss`. tc: a merged packet is as long as
 * its pieces will be, which is also how it is counted.
 */
function measure(family: Family, hook: Hook): Fragment {
  const { label, protocol, transport, header } = family;
  const fits: Fragment = [load(H, R2, ACTION_AT, ACTION_MTU), jgt.reg(R3, R2, label('miss'))];
  if (hook.name === 'xdp') return [loadLength(family), fits];
  return [
    loadLength(family),
    loadImm64(R4, 0, 1 << (PACKET_SHIFT - 32)),
    add.reg(R4, R3),
    store(DW, FP, COUNT, R4),
    load(W, R2, CONTEXT, SKB_GSO_SIZE),
    jeq.imm(R2, 0, label('single')),
    // r5: octets of all headers, r4: pieces.
    mov.imm(R5, header + UDP_HEADER),
    load(B, R1, PACKET, protocol),
    jne.imm(R1, TCP, label('pieces-udp')),
    mov.reg(R5, R2),
    hook.readable(transport + TCP_HEADER),
    mov.reg(R2, R5),
    load(B, R5, PACKET, transport + 12),
    rsh.imm(R5, 4),
    lsh.imm(R5, 2),
    add.imm(R5, header),
    at(label('pieces-udp'), load(W, R4, CONTEXT, SKB_GSO_SEGMENTS)),
    mov.reg(R1, R4),
    sub.imm(R1, 1),
    mul.reg(R1, R5),
    add.reg(R1, R3),
    lsh.imm(R4, PACKET_SHIFT),
    add.reg(R4, R1),
    store(DW, FP, COUNT, R4),
    mov.reg(R3, R2),
    add.reg(R3, R5),
    at(label('single'), fits),
  ];
}

/** One packet of r3 octets more (XDP), or what `measure` has left (tc). Loses r1, r2. */
const count = ({ version }: Family, hook: Hook): Fragment => [
  hook.name === 'xdp'
    ? [loadImm64(R2, 0, 1 << (PACKET_SHIFT - 32)), add.reg(R2, R3)]
    : load(DW, R2, FP, COUNT),
  atomic(DW, ATOMIC_ADD, SLOT_AT, SLOTS[version].counts, R2),
];

/** From the action that was found to `transmit`. */
export function rewrite(family: Family, hook: Hook): Fragment {
  const { label } = family;
  return [
    measure(family, hook),
    load(W, R1, ACTION_AT, ACTION_KIND),
    jeq.imm(R1, KINDS.route, label('route')),
    jeq.imm(R1, KINDS.toDestination, label('to-destination')),
    jeq.imm(R1, KINDS.toClient, label('to-client')),
    family.version === 4 ? jeq.imm(R1, KINDS.tunnel4, label('tunnel4')) : [],
    jne.imm(R1, KINDS.tunnel6, label('miss')),
    tunnel6(family, hook),
    family.version === 4 ? tunnel4(hook) : [],
    at(label('to-client'), translate(family, hook, family.src, family.transport, 'to-client')),
    at(label('to-destination'), translate(family, hook, family.dst, family.transport + 2, 'to-destination')),
    at(label('route'), [count(family, hook), age(family), jump('transmit')]),
  ];
}

/** NAT: the address at `address` and the port at `port` become the action's. */
function translate(family: Family, hook: Hook, address: number, port: number, name: string): Fragment {
  const { label, transport, protocol, version } = family;
  const udp = label(`${name}-udp`);
  const checksums = { tcp: transport + TCP_CHECKSUM, udp: transport + UDP_CHECKSUM };
  const checked = label(`${name}-checked`);
  return [
    load(B, R5, PACKET, protocol),
    jne.imm(R5, UDP, checked),
    // A datagram without a checksum gets a whole one: not here.
    load(H, R1, PACKET, checksums.udp),
    jeq.imm(R1, 0, label('miss')),
    at(checked, count(family, hook)),
    hook.name === 'tc' ? translateChecksum(family, hook, name, checksums) : [],
    readdress(family, address, port),
    version === 4
      ? [
          load(B, R1, PACKET, family.ttl),
          sub.imm(R1, 1),
          store(B, PACKET, family.ttl, R1),
          load(H, R2, ACTION_AT, ACTION_HEADER_CHANGE),
          updateChecksum(HEADER_CHECKSUM, R2),
        ]
      : age(family),
    hook.name === 'tc'
      ? jump('transmit')
      : [
          jeq.imm(R5, UDP, udp),
          hook.readable(transport + TCP_HEADER),
          load(H, R2, ACTION_AT, ACTION_TRANSPORT_CHANGE),
          updateChecksum(checksums.tcp, R2),
          jump('transmit'),
          at(udp, load(H, R2, ACTION_AT, ACTION_TRANSPORT_CHANGE)),
          updateChecksum(checksums.udp, R2, neverZero(label(`${name}-sum`))),
          jump('transmit'),
        ],
  ];
}

/** A checksum of UDP that comes out as 0 is sent as ones (RFC 768). */
const neverZero = (skip: string): Fragment => [
  jne.imm(R1, 0, skip),
  mov.imm(R1, 0xffff),
  at(skip, mov.reg(R1, R1)),
];

const readdress = ({ version }: Family, address: number, port: number): Fragment => [
  (version === 4 ? [0] : [0, 4, 8, 12]).map((i) => [
    load(W, R1, ACTION_AT, ACTION_ADDRESS + i),
    store(W, PACKET, address + i, R1),
  ]),
  load(H, R1, ACTION_AT, ACTION_PORT),
  store(H, PACKET, port, R1),
];

/**
 * tc: the kernel knows whether the checksum is whole or only the pseudo header's, so it changes it. Addresses are part
 * of the pseudo header, ports are not.
 */
function translateChecksum(
  { label, transport }: Family,
  hook: Hook,
  name: string,
  checksums: { readonly tcp: number; readonly udp: number },
): Fragment {
  const change = (offset: number, flags: number, from: number): Fragment => [
    mov.reg(R1, CONTEXT),
    mov.imm(R2, offset),
    mov.imm(R3, 0),
    load(H, R4, ACTION_AT, from),
    mov.imm(R5, flags),
    call(L4_CSUM_REPLACE),
    jne.imm(R0, 0, 'drop'),
  ];
  const both = (offset: number, flags: number): Fragment => [
    change(offset, flags | PSEUDO_HEADER, ACTION_ADDRESS_CHANGE),
    change(offset, flags, ACTION_PORT_CHANGE),
  ];
  const udp = label(`${name}-udp`);
  const done = label(`${name}-done`);
  return [
    jeq.imm(R5, UDP, udp),
    both(checksums.tcp, 0),
    jump(done),
    at(udp, both(checksums.udp, MARK_MANGLED_0)),
    at(done, hook.reload(transport + UDP_HEADER)),
  ];
}

/* Octets of outer headers, and where the inner IP header then begins. */
const OUTER4 = V4.header;
const OUTER6 = V6.header;

/** Room for an outer header of `octets` behind layer 2; what is needed of the packet is there again. */
const grow = (octets: number, version: 4 | 6, hook: Hook, family: Family): Fragment => [
  hook.name === 'xdp'
    ? [untag(), mov.imm(R2, -octets), adjustHead]
    : [
        mov.reg(R1, CONTEXT),
        mov.imm(R2, octets),
        mov.imm(R3, ROOM_MAC),
        mov.imm(R4, FIXED_GSO | (version === 4 ? ENCAP_L3_IPV4 : ENCAP_L3_IPV6)),
        mov.imm(R5, 0),
        call(SKB_ADJUST_ROOM),
        jne.imm(R0, 0, 'drop'),
      ],
  hook.reload(NETWORK + octets + family.header),
];

/** The inner packet's TOS or traffic class, in `into`, from the IP header at `network`. Loses r1. */
const trafficClass = ({ version }: Family, network: number, into: Register): Fragment =>
  version === 4
    ? load(B, into, PACKET, network + 1)
    : [load(H, into, PACKET, network), toBig(into, 16), rsh.imm(into, 4), and.imm(into, 0xff)];

/** A congestion mark stays inside, outside the packet may be marked again (RFC 3168 section 9.1.1). Loses r1. */
const withoutMark = (tos: Register, label: string): Fragment => [
  mov.reg(R1, tos),
  and.imm(R1, 3),
  jne.imm(R1, 3, label),
  sub.imm(tos, 1),
  at(label, mov.reg(R1, tos)),
];

const copyAddress = (from: number, to: number, octets: 4 | 16): Fragment =>
  (octets === 4 ? [0] : [0, 4, 8, 12]).map((i) => [
    load(W, R1, ACTION_AT, from + i),
    store(W, PACKET, to + i, R1),
  ]);

/** IPv4 in IPv4. Without DF the outer packet needs an identification of its own: that is the director's. */
function tunnel4(hook: Hook): Fragment {
  const inner = NETWORK + OUTER4;
  return [
    at(V4.label('tunnel4'), load(H, R1, PACKET, NETWORK + 6)),
    and.imm(R1, DONT_FRAGMENT_LE),
    jeq.imm(R1, 0, V4.label('miss')),
    count(V4, hook),
    age(V4),
    grow(OUTER4, 4, hook, V4),
    storeImm(H, PACKET, ETHERTYPE, IPV4_TYPE),
    trafficClass(V4, inner, R3),
    withoutMark(R3, 'unmarked4'),
    load(H, R4, PACKET, inner + 2),
    toBig(R4, 16),
    add.imm(R4, OUTER4),
    toBig(R4, 16),
    load(B, R5, PACKET, inner + 8),
    storeImm(B, PACKET, NETWORK, 0x45),
    store(B, PACKET, NETWORK + 1, R3),
    store(H, PACKET, TOTAL_LENGTH, R4),
    // Identification 0, DF.
    storeImm(W, PACKET, NETWORK + 4, DONT_FRAGMENT_LE << 16),
    store(B, PACKET, V4.ttl, R5),
    storeImm(B, PACKET, V4.protocol, 4),
    copyAddress(ACTION_SOURCE, V4.src, 4),
    copyAddress(ACTION_ADDRESS, V4.dst, 4),
    load(H, R1, ACTION_AT, ACTION_HEADER_CHANGE),
    add.reg(R1, R4),
    add.reg(R1, R5),
    lsh.imm(R3, 8),
    add.reg(R1, R3),
    fold(R1, R2),
    fold(R1, R2),
    xor.imm(R1, 0xffff),
    store(H, PACKET, HEADER_CHECKSUM, R1),
    jump('transmit'),
  ];
}

/** Either version in IPv6, flow label 0. */
function tunnel6(family: Family, hook: Hook): Fragment {
  const inner = NETWORK + OUTER6;
  const { version } = family;
  return [
    count(family, hook),
    age(family),
    grow(OUTER6, 6, hook, family),
    storeImm(H, PACKET, ETHERTYPE, IPV6_TYPE),
    trafficClass(family, inner, R3),
    withoutMark(R3, family.label('unmarked-6in')),
    mov.reg(R1, R3),
    rsh.imm(R1, 4),
    or.imm(R1, 0x60),
    store(B, PACKET, NETWORK, R1),
    lsh.imm(R3, 4),
    store(B, PACKET, NETWORK + 1, R3),
    storeImm(H, PACKET, NETWORK + 2, 0),
    version === 4
      ? load(H, R4, PACKET, inner + 2)
      : [load(H, R4, PACKET, inner + 4), toBig(R4, 16), add.imm(R4, V6.header), toBig(R4, 16)],
    store(H, PACKET, NETWORK + 4, R4),
    storeImm(B, PACKET, V6.protocol, version === 4 ? 4 : 41),
    load(B, R5, PACKET, inner - NETWORK + family.ttl),
    store(B, PACKET, V6.ttl, R5),
    copyAddress(ACTION_SOURCE, V6.src, 16),
    copyAddress(ACTION_ADDRESS, V6.dst, 16),
    jump('transmit'),
  ];
}

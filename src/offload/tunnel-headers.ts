/** Emits what is between the outer IP header and the inner packet of GUE and GRE, as src/forwarding/gue.ts and gre.ts write it. */
import {
  add,
  and,
  at,
  B,
  type Fragment,
  H,
  jeq,
  jne,
  type Label,
  load,
  mov,
  mul32,
  or,
  R0,
  R1,
  R2,
  R3,
  R4,
  type Register,
  rsh,
  rsh32,
  store,
  storeImm,
  sub,
  toBig,
  W,
  xor,
  xor32,
} from '../ebpf/instruction.ts';
import { DESTINATION, NEXT_HOP, TUNNEL } from '../table/record-layout.ts';
import { MIX_FACTOR } from '../wire/hash.ts';
import { UDP, UDP_CHECKSUM, UDP_HEADER } from '../wire/udp.ts';
import {
  asLoaded,
  IP_IN_IP,
  IPV4_TYPE,
  IPV6_TYPE,
  NETWORK,
  PAYLOAD_LENGTH,
  TOTAL_LENGTH,
  UDP_LENGTH,
} from './header-fields.ts';
import { HOP_AT, PACKET, ROW_AT } from './hooks.ts';
import type { Family } from './parse.ts';
import { fold, unlessUdpChecksum } from './rewrite-steps.ts';

/** Register of the inner packet: NETWORK bytes before its IP header. The row is not needed any more. */
export const INNER = ROW_AT;

/** Bytes of the UDP and GUE headers (draft-ietf-intarea-gue-09), and of a GRE header without and with a checksum (RFC 2784). */
export const GUE_HEADERS = UDP_HEADER + 4;
export const GRE_HEADER = 4;
export const LONG_GRE_HEADER = 8;
/** Flag of the first two bytes of GRE: checksum and reserved bytes follow. */
const CHECKSUM_PRESENT = asLoaded(0x8000);

/** The first dynamic port (RFC 6335 section 6), and the shift that leaves the 14 bits of a flow above it. */
const FIRST_DYNAMIC_PORT = 0xc000;
const FLOW_SHIFT = 32 - 14;

/** Bits of `tunnel`. The checksum of remcsum is that of csum, because every inner checksum is complete. */
export const SUMMED = TUNNEL.csum | TUNNEL.remcsum;

/** Words of an address in the order of a packet, from its first byte. */
const wordsOf = ({ version }: Family): readonly number[] => (version === 4 ? [0] : [0, 4, 8, 12]);

/**
 * Jumps to `miss` unless the sum of the packet follows from its headers: its transport checksum exists, and covers all of its
 * payload. Clobbers r1 and r2.
 */
export function unlessSummed(family: Family, miss: Label): Fragment {
  const { version, header, transport } = family;
  const summed = Symbol('summed');
  return [
    unlessUdpChecksum(family, summed, miss),
    load(H, R1, PACKET, version === 4 ? TOTAL_LENGTH : PAYLOAD_LENGTH),
    toBig(R1, 16),
    version === 4 ? sub.imm(R1, header) : [],
    load(H, R2, PACKET, transport + UDP_LENGTH),
    toBig(R2, 16),
    jne.reg(R1, R2, miss),
    at(summed, mov.imm(R1, 0)),
  ];
}

/** Loads the bytes of the inner packet. */
export const innerLength = ({ version, header }: Family, into: Register): Fragment => [
  load(H, into, INNER, version === 4 ? TOTAL_LENGTH : PAYLOAD_LENGTH),
  toBig(into, 16),
  version === 4 ? [] : add.imm(into, header),
];

/** Writes UDP and GUE headers. Expects the destination's record at r0. Clobbers r1 to r4. */
export function gueHeaders(outer: Family, inner: Family): Fragment {
  const done = Symbol('done');
  const nonzero = Symbol('nonzero');
  const udp = outer.transport;
  const header = asLoaded(IP_IN_IP[inner.version]);
  return [
    flowPort(inner),
    store(H, PACKET, udp, R1),
    load(H, R2, R0, DESTINATION.tunnelPort),
    store(H, PACKET, udp + 2, R2),
    innerLength(inner, R4),
    add.imm(R4, GUE_HEADERS),
    toBig(R4, 16),
    store(H, PACKET, udp + UDP_LENGTH, R4),
    storeImm(H, PACKET, udp + UDP_CHECKSUM, 0),
    storeImm(W, PACKET, udp + UDP_HEADER, header),
    load(H, R3, R0, DESTINATION.tunnel),
    and.imm(R3, SUMMED),
    jeq.imm(R3, 0, done),
    mov.imm(R3, asLoaded(UDP) + header),
    add.reg(R3, R1),
    add.reg(R3, R2),
    // Of the pseudo header, and of the UDP header.
    add.reg(R3, R4),
    add.reg(R3, R4),
    wordsOf(outer).map((word) => {
      const field = outer.version === 4 ? 12 : word;
      return [
        load(W, R1, HOP_AT, NEXT_HOP.source + field),
        add.reg(R3, R1),
        load(W, R1, R0, DESTINATION.address + field),
        add.reg(R3, R1),
      ];
    }),
    addInner(inner),
    complement(R3),
    jne.imm(R3, 0, nonzero),
    mov.imm(R3, 0xffff),
    at(nonzero, store(H, PACKET, udp + UDP_CHECKSUM, R3)),
    at(done, mov.imm(R3, 0)),
  ];
}

/** Writes a GRE header. Expects the destination's record at r0. Clobbers r1 and r3. */
export function greHeader(outer: Family, inner: Family): Fragment {
  const done = Symbol('done');
  const gre = outer.transport;
  const type = inner.version === 4 ? IPV4_TYPE : IPV6_TYPE;
  return [
    storeImm(H, PACKET, gre, 0),
    storeImm(H, PACKET, gre + 2, type),
    load(H, R3, R0, DESTINATION.tunnel),
    and.imm(R3, SUMMED),
    jeq.imm(R3, 0, done),
    storeImm(H, PACKET, gre, CHECKSUM_PRESENT),
    mov.imm(R3, CHECKSUM_PRESENT + type),
    addInner(inner),
    complement(R3),
    // The upper half: reserved bytes of 0.
    store(W, PACKET, gre + GRE_HEADER, R3),
    at(done, mov.imm(R3, 0)),
  ];
}

/** Loads the source port of the flow into r1, in packet order: `flowPort` of src/forwarding/gue.ts. Clobbers r2. */
const flowPort = (inner: Family): Fragment => [
  load(W, R1, INNER, inner.transport),
  wordsOf(inner).flatMap((word) =>
    [inner.src, inner.dst].map((address) => [load(W, R2, INNER, address + word), xor.reg(R1, R2)]),
  ),
  toBig(R1, 32),
  mov.reg(R2, R1),
  rsh.imm(R2, 15),
  xor.reg(R1, R2),
  mul32.imm(R1, MIX_FACTOR | 0),
  rsh32.imm(R1, FLOW_SHIFT),
  or.imm(R1, FIRST_DYNAMIC_PORT),
  toBig(R1, 16),
];

/**
 * Adds the sum of the inner packet to r3. The transport checksum makes segment and pseudo header sum to 0, whether it is there or the
 * card will complete it, so no payload is read: the sum is that of the IP header less that of the pseudo header. A packet with a
 * wrong checksum gets a wrong one outside, too. Clobbers r1.
 */
const addInner = ({ version, protocol, src, dst, header }: Family): Fragment =>
  version === 4
    ? [
        // The header sums to 0.
        [src, dst].map((address) => [load(W, R1, INNER, address), xor32.imm(R1, -1), add.reg(R3, R1)]),
        load(B, R1, INNER, protocol),
        toBig(R1, 16),
        xor.imm(R1, 0xffff),
        add.reg(R3, R1),
        load(H, R1, INNER, TOTAL_LENGTH),
        toBig(R1, 16),
        sub.imm(R1, header),
        toBig(R1, 16),
        xor.imm(R1, 0xffff),
        add.reg(R3, R1),
      ]
    : [
        // The header has the addresses and the length of the pseudo header. Left are its first word, next header and hop limit.
        load(W, R1, INNER, NETWORK),
        add.reg(R3, R1),
        load(H, R1, INNER, protocol),
        add.reg(R3, R1),
        load(B, R1, INNER, protocol),
        toBig(R1, 16),
        xor.imm(R1, 0xffff),
        add.reg(R3, R1),
      ];

/** Turns a sum of up to 40 bits into a checksum. Clobbers r1. */
export const complement = (sum: Register): Fragment => [
  fold(sum, R1),
  fold(sum, R1),
  fold(sum, R1),
  xor.imm(sum, 0xffff),
];

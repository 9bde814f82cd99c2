/** Emits the encapsulation of IP in IP, as src/forwarding/tunnel.ts does it. */
import { ENCAP_L3_IPV4, ENCAP_L3_IPV6, FIXED_GSO, ROOM_MAC, SKB_ADJUST_ROOM } from '../ebpf/helper.ts';
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
  jne,
  jump,
  load,
  lsh,
  mov,
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
import { DESTINATION, NEXT_HOP } from '../table/record-layout.ts';
import {
  asLoaded,
  CONGESTED,
  DF,
  ETHERTYPE,
  FLOW_LABEL,
  HEADER_CHECKSUM,
  IDENTIFICATION,
  IP_IN_IP,
  IPV4_TYPE,
  IPV6_TYPE,
  NETWORK,
  PAYLOAD_LENGTH,
  PLAIN_IPV4,
  TOS,
  TOTAL_LENGTH,
  VERSION_6,
} from './header-fields.ts';
import { adjustHead, CONTEXT, HOP_AT, type Hook, PACKET, untag } from './hooks.ts';
import { type Family, V4, V6 } from './parse.ts';
import { age, fold } from './rewrite-steps.ts';
import { RECORD } from './stack.ts';

/** The last word of an address of 16 bytes: an IPv4 address. */
const LAST_WORD = 12;
/** Words of an outer IPv4 header that are the same for all packets: version and length, DF, protocol. */
const OUTER_WORDS = asLoaded(0x4500) + DF + asLoaded(IP_IN_IP[4]);

/* Bytes of outer headers. */
const OUTER4 = V4.header;
const OUTER6 = V6.header;

/** Makes room for an outer header of `octets` bytes behind layer 2, and makes the headers readable again. */
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

/** Loads the inner packet's TOS or traffic class, from the IP header at `network`, into `into`. */
const trafficClass = ({ version }: Family, network: number, into: Register): Fragment =>
  version === 4
    ? load(B, into, PACKET, network + 1)
    : [load(H, into, PACKET, network), toBig(into, 16), rsh.imm(into, 4), and.imm(into, 0xff)];

/** Clears a congestion mark for the outer header; routers may mark it again (RFC 3168 section 9.1.1). Clobbers r1. */
const withoutMark = (tos: Register, label: string): Fragment => [
  mov.reg(R1, tos),
  and.imm(R1, CONGESTED),
  jne.imm(R1, CONGESTED, label),
  sub.imm(tos, 1),
  at(label, mov.reg(R1, tos)),
];

/** Writes the outer addresses: the next hop's source, and the destination. Clobbers r1 and r2. */
const outerAddresses = ({ version, src, dst }: Family): Fragment => [
  load(DW, R2, FP, RECORD),
  (version === 4 ? [0] : [0, 4, 8, 12]).map((word) => {
    const field = version === 4 ? LAST_WORD : word;
    return [
      load(W, R1, HOP_AT, NEXT_HOP.source + field),
      store(W, PACKET, src + word, R1),
      load(W, R1, R2, DESTINATION.address + field),
      store(W, PACKET, dst + word, R1),
    ];
  }),
];

/** IPv4 in IPv4. Without DF the outer packet needs a unique identification: the director encapsulates it. */
export function tunnel4(hook: Hook): Fragment {
  const inner = NETWORK + OUTER4;
  return [
    age(V4),
    grow(OUTER4, 4, hook, V4),
    storeImm(H, PACKET, ETHERTYPE, IPV4_TYPE),
    trafficClass(V4, inner, R3),
    withoutMark(R3, 'unmarked4'),
    load(H, R4, PACKET, TOTAL_LENGTH + OUTER4),
    toBig(R4, 16),
    add.imm(R4, OUTER4),
    toBig(R4, 16),
    load(B, R5, PACKET, V4.ttl + OUTER4),
    storeImm(B, PACKET, NETWORK, PLAIN_IPV4),
    store(B, PACKET, TOS, R3),
    store(H, PACKET, TOTAL_LENGTH, R4),
    // Identification 0, DF.
    storeImm(W, PACKET, IDENTIFICATION, DF << 16),
    store(B, PACKET, V4.ttl, R5),
    storeImm(B, PACKET, V4.protocol, IP_IN_IP[4]),
    outerAddresses(V4),
    load(W, R1, PACKET, V4.src),
    load(W, R2, PACKET, V4.dst),
    add.reg(R1, R2),
    add.imm(R1, OUTER_WORDS),
    add.reg(R1, R4),
    add.reg(R1, R5),
    lsh.imm(R3, 8),
    add.reg(R1, R3),
    fold(R1, R2),
    fold(R1, R2),
    fold(R1, R2),
    xor.imm(R1, 0xffff),
    store(H, PACKET, HEADER_CHECKSUM, R1),
    jump('transmit'),
  ];
}

/** Either IP version in IPv6, with flow label 0. */
export function tunnel6(family: Family, hook: Hook): Fragment {
  const inner = NETWORK + OUTER6;
  const { version } = family;
  return [
    age(family),
    grow(OUTER6, 6, hook, family),
    storeImm(H, PACKET, ETHERTYPE, IPV6_TYPE),
    trafficClass(family, inner, R3),
    withoutMark(R3, family.label('unmarked-6in')),
    mov.reg(R1, R3),
    rsh.imm(R1, 4),
    or.imm(R1, VERSION_6),
    store(B, PACKET, NETWORK, R1),
    lsh.imm(R3, 4),
    store(B, PACKET, NETWORK + 1, R3),
    storeImm(H, PACKET, FLOW_LABEL, 0),
    version === 4
      ? load(H, R4, PACKET, TOTAL_LENGTH + OUTER6)
      : [load(H, R4, PACKET, PAYLOAD_LENGTH + OUTER6), toBig(R4, 16), add.imm(R4, V6.header), toBig(R4, 16)],
    store(H, PACKET, PAYLOAD_LENGTH, R4),
    storeImm(B, PACKET, V6.protocol, IP_IN_IP[version]),
    load(B, R5, PACKET, family.ttl + OUTER6),
    store(B, PACKET, V6.ttl, R5),
    outerAddresses(V6),
    jump('transmit'),
  ];
}

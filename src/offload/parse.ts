/** Emits the parsing of a packet's headers; packets that a program does not handle branch to `miss` or `pieces`. */
import {
  add,
  and,
  at,
  B,
  DW,
  FP,
  type Fragment,
  H,
  jeq,
  jgt,
  jle,
  jlt,
  jne,
  jump,
  load,
  lsh,
  mov,
  R1,
  R2,
  R3,
  R5,
  rsh,
  store,
  sub,
  toBig,
} from '../ebpf/instruction.ts';
import { IPV4_HEADER } from '../wire/ipv4.ts';
import { IPV6_HEADER } from '../wire/ipv6.ts';
import { TCP, TCP_FLAGS, TCP_HEADER } from '../wire/tcp.ts';
import { UDP, UDP_HEADER } from '../wire/udp.ts';
import {
  FRAGMENT,
  IS_FRAGMENT,
  NETWORK,
  PAYLOAD_LENGTH,
  PLAIN_IPV4,
  TCP_DATA_OFFSET,
  TOTAL_LENGTH,
  UDP_LENGTH,
} from './header-fields.ts';
import { type Hook, PACKET, unlessReadable } from './hooks.ts';
import { FLAGS } from './stack.ts';

/** An IP version; offsets are from the Ethernet header, tags apart. */
export interface Family {
  readonly version: 4 | 6;
  /** Bytes of the IP header without options or extension headers. */
  readonly header: number;
  readonly ttl: number;
  readonly protocol: number;
  readonly src: number;
  readonly dst: number;
  /** Bytes of an address. */
  readonly address: 4 | 16;
  readonly transport: number;
  /** Returns the version's label of that name. */
  readonly label: (name: string) => string;
}

export const V4: Family = {
  version: 4,
  header: IPV4_HEADER,
  ttl: NETWORK + 8,
  protocol: NETWORK + 9,
  src: NETWORK + 12,
  dst: NETWORK + 16,
  address: 4,
  transport: NETWORK + IPV4_HEADER,
  label: (name) => `${name}4`,
};
export const V6: Family = {
  version: 6,
  header: IPV6_HEADER,
  ttl: NETWORK + 7,
  protocol: NETWORK + 6,
  src: NETWORK + 8,
  dst: NETWORK + 24,
  address: 16,
  transport: NETWORK + IPV6_HEADER,
  label: (name) => `${name}6`,
};

/**
 * Loads the length of the IP packet in bytes, according to its header, into r3. The verifiers of Linux 6.1 and 6.12
 * forget the bounds of a register whose bytes were swapped, and refuse to add it to a packet pointer: hence the mask.
 */
export const loadLength = ({ version, header }: Family): Fragment => [
  load(H, R3, PACKET, version === 4 ? TOTAL_LENGTH : PAYLOAD_LENGTH),
  toBig(R3, 16),
  and.imm(R3, 0xffff),
  version === 4 ? [] : add.imm(R3, header),
];

/**
 * Loads the protocol into r5 for a complete TCP segment or UDP datagram of the length that its headers state, and stores
 * the segment's FLAGS. Jumps to `miss` for others, to `pieces` for those without ports. The fragment that follows has to
 * be labeled `find`. Clobbers r1 to r3.
 */
export function parse(family: Family, hook: Hook): Fragment {
  const { version, header, ttl, protocol, transport, label } = family;
  const miss = label('miss');
  return [
    version === 4
      ? [
          load(B, R1, PACKET, NETWORK),
          jne.imm(R1, PLAIN_IPV4, label('pieces')),
          load(H, R1, PACKET, FRAGMENT),
          and.imm(R1, IS_FRAGMENT),
          jne.imm(R1, 0, label('pieces')),
        ]
      : [
          unlessReadable(transport + UDP_HEADER, 'pass'),
          load(B, R1, PACKET, NETWORK),
          rsh.imm(R1, 4),
          jne.imm(R1, version, 'pass'),
        ],
    load(B, R5, PACKET, protocol),
    jeq.imm(R5, TCP, label('whole')),
    jne.imm(R5, UDP, label('other')),
    at(label('whole'), load(B, R1, PACKET, ttl)),
    jle.imm(R1, 1, miss),
    loadLength(family),
    hook.unlessWhole(R3, miss),
    jeq.imm(R5, TCP, label('tcp')),
    jlt.imm(R3, header + UDP_HEADER, miss),
    load(H, R1, PACKET, transport + UDP_LENGTH),
    toBig(R1, 16),
    jlt.imm(R1, UDP_HEADER, miss),
    mov.reg(R2, R3),
    sub.imm(R2, header),
    jgt.reg(R1, R2, miss),
    // Any flags. The verifier follows this shorter packet, and recognizes TCP as another case of the same.
    and.imm(R1, 0xff),
    store(DW, FP, FLAGS, R1),
    jump(label('find')),
    at(label('tcp'), unlessReadable(transport + TCP_HEADER, miss)),
    jlt.imm(R3, header + TCP_HEADER, miss),
    load(B, R1, PACKET, transport + TCP_DATA_OFFSET),
    rsh.imm(R1, 4),
    lsh.imm(R1, 2),
    jlt.imm(R1, TCP_HEADER, miss),
    add.imm(R1, header),
    jgt.reg(R1, R3, miss),
    load(B, R1, PACKET, transport + TCP_FLAGS),
    store(DW, FP, FLAGS, R1),
  ];
}

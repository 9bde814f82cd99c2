/**
 * Emits what reads a packet to the cluster: the tuple of its connection, its protocol, and whether it is a first packet. Jumps
 * to `socket` for TCP that is or may be known, to `rules` for other packets, to `fragment` for fragments without ports.
 */
import { SKB_PULL_DATA } from '../../ebpf/helper.ts';
import {
  and,
  at,
  B,
  call,
  DW,
  FP,
  type Fragment,
  H,
  jeq,
  jgt,
  jlt,
  jne,
  jset,
  jump,
  load,
  mov,
  R0,
  R1,
  R2,
  R5,
  store,
  storeImm,
  W,
} from '../../ebpf/instruction.ts';
import { jumpIfFor } from '../../offload/decap.ts';
import { FRAGMENT, IS_FRAGMENT, NETWORK, PLAIN_IPV4 } from '../../offload/header-fields.ts';
import { CONTEXT, PACKET, tc, unlessReadable } from '../../offload/hooks.ts';
import type { Family } from '../../offload/parse.ts';
import type { Address } from '../../wire/address.ts';
import { ICMP, ICMP_HEADER, PARAMETER_PROBLEM, TIME_EXCEEDED, UNREACHABLE } from '../../wire/icmp.ts';
import { ICMP6 } from '../../wire/icmp6.ts';
import { ACK, SYN, TCP, TCP_FLAGS, TCP_HEADER } from '../../wire/tcp.ts';
import { UDP } from '../../wire/udp.ts';
import { clusterAt, IS_FIRST, IS_KNOWN, PORTS, PROTOCOL, portsAt, TUPLE } from './stack.ts';

const IPV6_FRAGMENT = 44;
const IPV6_FRAGMENT_HEADER = 8;
/** Fragment offset in the second word of the fragment header, as loaded (RFC 8200, 4.5). */
const IPV6_OFFSET_LE = 0xf8ff;

const copy = (from: number, to: number, words: number): Fragment =>
  Array.from({ length: words }, (_, i) => [load(W, R1, PACKET, from + 4 * i), store(W, FP, to + 4 * i, R1)]);

/** Stores the tuple that received packets have, of a packet that was sent, by the offsets of its fields. Clobbers r1. */
export const readSent = (
  family: Family,
  { src, dst, ports }: { readonly src: number; readonly dst: number; readonly ports: number },
): Fragment => [
  copy(dst, TUPLE, family.address / 4),
  copy(src, clusterAt(family), family.address / 4),
  load(H, R1, PACKET, ports + 2),
  store(H, FP, portsAt(family), R1),
  load(H, R1, PACKET, ports),
  store(H, FP, portsAt(family) + 2, R1),
];

/** Reads the IP header, and the ports behind it. Jumps to `pass` for other addresses; falls through for ICMP. */
export function readHeader(family: Family, addresses: readonly Address[]): Fragment {
  const { version, src, dst, address, protocol, transport, label } = family;
  const withPorts = (offset: number, target: string): Fragment => [
    unlessReadable(offset + PORTS, 'drop'),
    copy(offset, portsAt(family), 1),
    jump(target),
  ];
  return [
    unlessReadable(transport, 'pass'),
    addresses.map((one) => jumpIfFor(one, dst, label('mine'))),
    jump('pass'),
    at(label('mine'), copy(src, TUPLE, address / 4)),
    copy(dst, clusterAt(family), address / 4),
    storeImm(W, FP, portsAt(family), 0),
    storeImm(DW, FP, IS_FIRST, 0),
    storeImm(DW, FP, IS_KNOWN, 0),
    version === 4
      ? [
          load(H, R1, PACKET, FRAGMENT),
          and.imm(R1, IS_FRAGMENT & 0xff1f),
          jne.imm(R1, 0, 'fragment'),
          load(B, R1, PACKET, NETWORK),
          jne.imm(R1, PLAIN_IPV4, 'unknown'),
        ]
      : [],
    load(B, R5, PACKET, protocol),
    store(DW, FP, PROTOCOL, R5),
    jeq.imm(R5, TCP, label('tcp')),
    jeq.imm(R5, UDP, label('udp')),
    jeq.imm(R5, version === 4 ? ICMP : ICMP6, label('icmp')),
    version === 6 ? jeq.imm(R5, IPV6_FRAGMENT, label('piece')) : [],
    jump(label('rules')),
    at(label('udp'), withPorts(transport, label('rules'))),
    at(label('tcp'), readFlags(transport, label('later'))),
    at(label('later'), withPorts(transport, label('socket'))),
    version === 6 ? readPiece(family, withPorts) : [],
  ];
}

/** Notes a first packet of TCP, and jumps to or falls through to `later`. */
const readFlags = (offset: number, later: string): Fragment => [
  unlessReadable(offset + TCP_HEADER, 'drop'),
  load(B, R1, PACKET, offset + TCP_FLAGS),
  and.imm(R1, SYN | ACK),
  jne.imm(R1, SYN, later),
  storeImm(DW, FP, IS_FIRST, 1),
];

/** Reads an IPv6 fragment: the first one has the ports. */
function readPiece(
  { transport, label }: Family,
  withPorts: (offset: number, target: string) => Fragment,
): Fragment {
  const inner = transport + IPV6_FRAGMENT_HEADER;
  return [
    at(label('piece'), unlessReadable(inner + PORTS, 'drop')),
    load(H, R1, PACKET, transport + 2),
    jset.imm(R1, IPV6_OFFSET_LE, 'fragment'),
    load(B, R5, PACKET, transport),
    store(DW, FP, PROTOCOL, R5),
    jeq.imm(R5, UDP, label('piece-udp')),
    jne.imm(R5, TCP, label('rules')),
    readFlags(inner, label('piece-later')),
    at(label('piece-later'), withPorts(inner, label('socket'))),
    at(label('piece-udp'), withPorts(inner, label('rules'))),
  ];
}

/** ICMP: an error is about the packet that it quotes, whose source is the cluster. Others are for the default host. */
export function readError(family: Family): Fragment {
  const { version, header, transport, label } = family;
  const quoted = transport + ICMP_HEADER;
  const inner = quoted - NETWORK;
  const end = quoted + header + PORTS;
  const at4or6 = (offset: number): number => inner + offset;
  return [
    at(label('icmp'), unlessReadable(transport + ICMP_HEADER, 'drop')),
    load(B, R1, PACKET, transport),
    version === 4
      ? [
          jeq.imm(R1, UNREACHABLE, label('error')),
          jeq.imm(R1, TIME_EXCEEDED, label('error')),
          jne.imm(R1, PARAMETER_PROBLEM, label('rules')),
        ]
      : [jlt.imm(R1, 1, label('rules')), jgt.imm(R1, 4, label('rules'))],
    at(label('error'), mov.reg(R1, CONTEXT)),
    mov.imm(R2, end),
    call(SKB_PULL_DATA),
    jne.imm(R0, 0, 'drop'),
    tc.reload(end),
    version === 4 ? [load(B, R1, PACKET, quoted), jne.imm(R1, PLAIN_IPV4, 'drop')] : [],
    readSent(family, { src: at4or6(family.src), dst: at4or6(family.dst), ports: quoted + header }),
    load(B, R5, PACKET, at4or6(family.protocol)),
    store(DW, FP, PROTOCOL, R5),
    jeq.imm(R5, TCP, label('socket')),
    jump(label('rules')),
  ];
}

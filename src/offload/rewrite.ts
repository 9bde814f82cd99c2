/** Emits what happens to a packet of a known connection: checks, counts, and what src/forwarding does. */
import {
  add,
  and,
  at,
  B,
  DW,
  div,
  FP,
  type Fragment,
  H,
  jeq,
  jge,
  jgt,
  jne,
  jset,
  jump,
  type Label,
  load,
  loadMapValue,
  lsh,
  mov,
  mul,
  R0,
  R1,
  R2,
  R3,
  R4,
  R5,
  rsh,
  rsh32,
  store,
  storeImm,
  sub,
  W,
  xor32,
} from '../ebpf/instruction.ts';
import { METHOD_BITS, ROW, TRACK } from '../table/layout.ts';
import { DESTINATION, DESTINATION_FLAGS, NEXT_HOP, NEXT_HOP_BYTES } from '../table/record-layout.ts';
import { sysctlOffset } from '../table/settings-record.ts';
import { SYN, TCP, TCP_HEADER } from '../wire/tcp.ts';
import { UDP_HEADER } from '../wire/udp.ts';
import type { Arrays } from './arrays.ts';
import { CONSTANTS } from './constants.ts';
import { wordOf } from './control.ts';
import { acceptTunneled, encapsulate } from './encapsulate.ts';
import { RECORD_SHIFT } from './find.ts';
import { TCP_DATA_OFFSET } from './header-fields.ts';
import { CONTEXT, HOP_AT, type Hook, PACKET, ROW_AT, SKB_GSO_SIZE } from './hooks.ts';
import { type Family, loadLength } from './parse.ts';
import { age, unlessUdpChecksum } from './rewrite-steps.ts';
import * as stack from './stack.ts';
import { track } from './track.ts';
import { translate } from './translate.ts';

/** Numbers of the forwarding methods (include/uapi/linux/ip_vs.h, Linux 6.1), as bits of `track`. */
const LOCAL = 1 << TRACK.method;
const TUNNELED = 2 << TRACK.method;
/** States after which a SYN begins another connection: TIME_WAIT and CLOSE (src/director/path/tcp-state.ts). */
const OVER = (1 << 5) | (1 << 6);
const TCP_FIN_WAIT = 4;
/** Bit of conn_reuse_mode: after FIN_WAIT, too, if no packet of the destination was seen. */
const REUSE_HALF_SEEN = 2;
const HOP_SHIFT = Math.log2(NEXT_HOP_BYTES);

/** Copies an address of 16 bytes in rows and records, or its last word, to NEW_ADDRESS. Clobbers r1. */
const keepAddress = ({ version }: Family, from: typeof ROW_AT | typeof R0, field: number): Fragment =>
  version === 4
    ? [load(W, R1, from, field + 12), store(W, FP, stack.NEW_ADDRESS, R1)]
    : [0, 8].map((half) => [load(DW, R1, from, field + half), store(DW, FP, stack.NEW_ADDRESS + half, R1)]);

/** Keeps the number in r3 and its record, at r0 then, of a destination. Jumps to `miss` if it is not available. Clobbers r1 and r3. */
export const keepDestination = ({ destinations }: Arrays, miss: Label): Fragment => [
  store(DW, FP, stack.DESTINATION_NUMBER, R3),
  lsh.imm(R3, RECORD_SHIFT),
  loadMapValue(R0, destinations),
  add.reg(R0, R3),
  store(DW, FP, stack.RECORD, R0),
  load(W, R1, R0, DESTINATION.flags),
  and.imm(R1, DESTINATION_FLAGS.AVAILABLE),
  jeq.imm(R1, 0, miss),
];

/**
 * Reads the row that was found, with r2 as `track`, and drops the packet if the row became another connection's meanwhile.
 * Jumps to `miss` for what the director has to decide. r0: the destination's record.
 */
function read(family: Family, arrays: Arrays, isReply: boolean): Fragment {
  const { records } = arrays;
  const miss = family.label('miss');
  return [
    load(H, R3, ROW_AT, ROW.destination),
    jge.imm(R3, records, 'drop'),
    isReply
      ? [
          keepAddress(family, ROW_AT, ROW.vaddr),
          load(H, R1, ROW_AT, ROW.vport),
          store(DW, FP, stack.NEW_PORT, R1),
          load(H, R5, ROW_AT, ROW.nextHop),
        ]
      : [],
    load(W, R1, ROW_AT, ROW.track),
    xor32.reg(R1, R2),
    rsh32.imm(R1, TRACK.generation),
    jne.imm(R1, 0, 'drop'),
    store(DW, FP, stack.TRACKED, R2),
    keepDestination(arrays, miss),
    jset.imm(R2, TRACK.UP, miss),
  ];
}

/**
 * Jumps to `again` for a SYN that begins another connection with the same ends, as connection-path.ts decides, and to `miss` for one
 * to a destination without weight. r0: the record, r2: `track`. Clobbers r1 and r3.
 */
function unlessBegins(family: Family, arrays: Arrays, again: Label, miss: Label): Fragment {
  const known = Symbol('known');
  const free = Symbol('free');
  return [
    load(B, R1, PACKET, family.protocol),
    jne.imm(R1, TCP, known),
    load(DW, R1, FP, stack.FLAGS),
    and.imm(R1, SYN),
    jeq.imm(R1, 0, known),
    load(W, R1, R0, DESTINATION.weight),
    jeq.imm(R1, 0, miss),
    // A connection that another row controls goes on.
    mov.reg(R1, R2),
    and.imm(R1, TRACK.TEMPLATED),
    jeq.imm(R1, 0, free),
    wordOf(arrays, R3, stack.FOUND),
    load(W, R1, R3, 0),
    jne.imm(R1, 0, known),
    at(free, mov.reg(R1, R2)),
    and.imm(R1, TRACK.state),
    mov.imm(R3, OVER),
    rsh.reg(R3, R1),
    jset.imm(R3, 1, again),
    jne.imm(R1, TCP_FIN_WAIT, known),
    mov.reg(R1, R2),
    and.imm(R1, TRACK.NOOUTPUT),
    jeq.imm(R1, 0, known),
    loadMapValue(R1, arrays.settings, sysctlOffset('conn_reuse_mode')),
    load(W, R1, R1, 0),
    jset.imm(R1, REUSE_HALF_SEEN, again),
    at(known, mov.imm(R1, 0)),
  ];
}

/** Sets HOP_AT to the next hop of the number in r5, and jumps to `miss` if it is unusable. Clobbers r1. */
export const hop = ({ nextHops }: Arrays, miss: Label): Fragment => [
  jeq.imm(R5, 0, miss),
  lsh.imm(R5, HOP_SHIFT),
  loadMapValue(HOP_AT, nextHops),
  add.reg(HOP_AT, R5),
  load(W, R1, HOP_AT, NEXT_HOP.interface),
  jeq.imm(R1, 0, miss),
];

/**
 * Stores what the packet counts as, and jumps to `miss` if it is too long for the next hop with OVERHEAD. tc: the length of a merged packet is that of its segments, which are also counted. Clobbers r1 to r5.
 */
function measure(family: Family, hook: Hook, miss: Label): Fragment {
  const { protocol, transport, header } = family;
  const single = Symbol('single');
  const datagram = Symbol('datagram');
  const fits: Fragment = [
    load(DW, R2, FP, stack.OVERHEAD),
    add.reg(R3, R2),
    load(H, R2, HOP_AT, NEXT_HOP.mtu),
    jgt.reg(R3, R2, miss),
  ];
  const one: Fragment = [
    loadLength(family),
    storeImm(DW, FP, stack.PACKETS, 1),
    store(DW, FP, stack.OCTETS, R3),
  ];
  if (hook.name === 'xdp') return [one, fits];
  return [
    one,
    load(W, R2, CONTEXT, SKB_GSO_SIZE),
    jeq.imm(R2, 0, single),
    // r5: bytes of all headers, r4: segments.
    mov.imm(R5, header + UDP_HEADER),
    load(B, R1, PACKET, protocol),
    jne.imm(R1, TCP, datagram),
    mov.reg(R5, R2),
    hook.readable(transport + TCP_HEADER),
    mov.reg(R2, R5),
    load(B, R5, PACKET, transport + TCP_DATA_OFFSET),
    rsh.imm(R5, 4),
    lsh.imm(R5, 2),
    add.imm(R5, header),
    // The kernel's count of segments (gso_segs) is 0 in packets from a virtual machine's host.
    at(datagram, mov.reg(R4, R3)),
    sub.reg(R4, R5),
    add.reg(R4, R2),
    sub.imm(R4, 1),
    div.reg(R4, R2),
    store(DW, FP, stack.PACKETS, R4),
    sub.imm(R4, 1),
    mul.reg(R4, R5),
    add.reg(R4, R3),
    store(DW, FP, stack.OCTETS, R4),
    mov.reg(R3, R2),
    add.reg(R3, R5),
    at(single, fits),
  ];
}

/** Jumps to `miss` for a datagram without a checksum: the director computes the one that it gets. Clobbers r1. */
function unlessChecksum(family: Family, miss: Label): Fragment {
  const checked = Symbol('checked');
  return [unlessUdpChecksum(family, checked, miss), at(checked, mov.imm(R1, 0))];
}

/** Labels: `request` and `reply`, where r2 is `track` of the row at ROW_AT. Jumps to `transmit`, `pass` or `miss`. */
export const rewrite = (family: Family, hook: Hook, arrays: Arrays): Fragment => [
  request(family, hook, arrays),
  reply(family, hook, arrays),
];

const request = (family: Family, hook: Hook, arrays: Arrays): Fragment => [
  at(family.label('request'), read(family, arrays, false)),
  unlessBegins(family, arrays, family.label('again'), family.label('miss')),
  toDestination(family, hook, arrays, track(family, arrays, 'client')),
];

/**
 * Forwards the packet to the destination, whose record is at r0, by the method in `track`, r2. Jumps to `miss` for packets
 * that the director has to forward. Expects the stack's TRACKED, FLAGS, RECORD and DESTINATION_NUMBER. `count` runs when
 * nothing but a withdrawn next hop can send the packet to `miss` any more, and counts the packet; it has to preserve HOP_AT,
 * or set it again.
 */
export function toDestination(family: Family, hook: Hook, arrays: Arrays, count: Fragment): Fragment {
  const { label } = family;
  const miss = label('miss');
  const accepted = label('accepted');
  const translated = label('translated');
  const tunneled = label('tunneled');
  return [
    load(H, R5, R0, DESTINATION.nextHop),
    hop(arrays, miss),
    mov.imm(R3, 0),
    mov.reg(R1, R2),
    and.imm(R1, METHOD_BITS),
    jeq.imm(R1, 0, translated),
    jeq.imm(R1, TUNNELED, tunneled),
    jeq.imm(R1, LOCAL, miss),
    jump(accepted),
    at(tunneled, acceptTunneled(family, hook, miss)),
    at(translated, acceptTranslated(family, miss)),
    // For the verifier, which forgets the value and continues once for all methods.
    at(accepted, loadMapValue(R1, arrays.constants, CONSTANTS.zero)),
    load(DW, R1, R1, 0),
    add.reg(R3, R1),
    store(DW, FP, stack.OVERHEAD, R3),
    measure(family, hook, miss),
    count,
    // What the method is, and what kind of tunnel, is read again: the verifier follows one path up to here.
    load(DW, R1, FP, stack.TRACKED),
    and.imm(R1, METHOD_BITS),
    jeq.imm(R1, 0, label('translate')),
    jne.imm(R1, TUNNELED, label('route')),
    encapsulate(family, hook, arrays),
    at(label('translate'), translate(family, hook, 'request')),
    at(label('route'), age(family)),
    jump('transmit'),
  ];
}

/** Keeps the address and port of the destination, whose record is at r0. Clobbers r1. */
function acceptTranslated(family: Family, miss: Label): Fragment {
  const keep = Symbol('keep');
  return [
    unlessChecksum(family, miss),
    keepAddress(family, R0, DESTINATION.address),
    load(H, R1, R0, DESTINATION.port),
    jset.imm(R2, TRACK.SAME_PORT, keep),
    store(DW, FP, stack.NEW_PORT, R1),
    jump(family.label('accepted')),
    at(keep, load(H, R1, PACKET, family.transport + 2)),
    store(DW, FP, stack.NEW_PORT, R1),
  ];
}

function reply(family: Family, hook: Hook, arrays: Arrays): Fragment {
  const { label } = family;
  const miss = label('miss');
  const passing = label('passing');
  return [
    at(label('reply'), read(family, arrays, true)),
    mov.reg(R1, R2),
    and.imm(R1, METHOD_BITS),
    jne.imm(R1, 0, passing),
    unlessChecksum(family, miss),
    jump(label('answered')),
    // A reply that is not translated passes by: the host routes it.
    at(passing, load(H, R5, R0, DESTINATION.nextHop)),
    at(label('answered'), hop(arrays, miss)),
    storeImm(DW, FP, stack.OVERHEAD, 0),
    measure(family, hook, miss),
    track(family, arrays, 'destination'),
    load(DW, R1, FP, stack.TRACKED),
    and.imm(R1, METHOD_BITS),
    jne.imm(R1, 0, 'pass'),
    translate(family, hook, 'reply'),
  ];
}

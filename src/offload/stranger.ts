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
  mov32,
  R0,
  R1,
  R2,
  R3,
  R5,
  rsh,
  store,
  storeImm,
  W,
} from '../ebpf/instruction.ts';
import { FTP_DATA_PORT } from '../model/service.ts';
import { HEAD, ROW_SHIFT, TRACK } from '../table/layout.ts';
import { MAPPED_WORD } from '../table/packet-order.ts';
import { SERVICE, SERVICE_FLAGS, SETTINGS } from '../table/record-layout.ts';
import { sysctlOffset } from '../table/settings-record.ts';
import { ACK, FIN, RST, SYN, TCP } from '../wire/tcp.ts';
import type { Arrays } from './arrays.ts';
import { unlessRouted } from './client-route.ts';
import { unlessDenied } from './denied.ts';
import { clientOf } from './find.ts';
import { asLoaded } from './header-fields.ts';
import { home } from './home.ts';
import { type Hook, PACKET } from './hooks.ts';
import { SERVICE_NUMBER, TO_SERVICE } from './layout.ts';
import { unlessOrphaned } from './liveness.ts';
import { type Family, loadLength } from './parse.ts';
import {
  callProgram,
  FORWARD_ONCE,
  loadScratch,
  MARKED,
  PERSIST,
  PLACE,
  SCRATCH,
  serviceRecord,
} from './scratch.ts';
import * as stack from './stack.ts';
import { unlessSummed } from './tunnel-headers.ts';
import { findEnd, keepProtocol, type Upcall } from './upcall.ts';
import { valve } from './valve.ts';

/* First bytes of addresses (RFC 1122, RFC 4291). */
const LOOPBACK_NET = 127;
export const FIRST_MULTICAST = 224;
export const MULTICAST_6 = 0xff;

/**
 * Labels: `stranger`, and `again`: a SYN for the row at FOUND, with `track` r2, whose connection is over. Expects FLAGS of the
 * stack. Jumps to `miss`, or ends in another program.
 */
export function stranger(family: Family, hook: Hook, arrays: Arrays, { services }: Upcall): Fragment {
  const { label } = family;
  const miss = label('miss');
  return [
    at(label('again'), unlessReusable(arrays, miss)),
    jump(label('first')),
    at(label('stranger'), storeImm(DW, FP, stack.FORMER_TRACK, 0)),
    at(label('first'), divert(family, arrays, 'first')),
    first(family, hook, arrays, { services, marked: [] }),
  ];
}

/** What `first` needs to find the service. */
interface Finding {
  /** Descriptor of the map of services. */
  readonly services: number;
  /** Jumps to its argument with the service of the packet's mark in r2, if the packet has one. Clobbers r1. */
  readonly marked: Fragment;
}

/** Label `numbered`. Handles a packet that may begin a connection; FORMER_TRACK and FOUND of the stack are as `stranger` has them. */
export function first(family: Family, hook: Hook, arrays: Arrays, { services, marked }: Finding): Fragment {
  const { label } = family;
  const miss = label('miss');
  return [
    unlessOrphaned(arrays, 'pass'),
    unlessDeferred(arrays, miss),
    unlessFirst(family, hook, miss),
    unlessClient(family, miss),
    marked,
    keepProtocol(family),
    findService(family, services, miss),
    at(label('numbered'), store(DW, FP, stack.SERVICE_NUMBER, R2)),
    unlessDenied(family, arrays, miss),
    unlessScheduled(family, arrays, miss),
    valve(arrays, miss),
    // Real servers and the host's own addresses: what they send may be a reply, or a datagram that begins a connection.
    findEnd(family, services, { side: 'src', port: false, protocol: false }),
    jne.imm(R0, 0, miss),
    unlessRouted(family, hook, arrays, miss),
    load(B, R5, PACKET, family.protocol),
    clientOf(family.transport),
    home(family, family.src, arrays),
    store(DW, FP, stack.HOME, R0),
    unlessNear(arrays, miss),
    write(family, arrays, miss),
    load(DW, R3, FP, stack.SCHEDULER_NUMBER),
    callProgram(arrays),
    // Without looking at the packet again: Linux 6.12 forgets its bounds here, as if the other program had moved it.
    jump('up'),
  ];
}

/**
 * Calls the program of marks for a packet of no connection, if there are rules for services. Falls through otherwise. Clobbers
 * r0 to r5.
 */
export function divert(family: Family, arrays: Arrays, place: keyof typeof PLACE): Fragment {
  const unmarked = Symbol('unmarked');
  const kept = (field: number, from: number): Fragment =>
    place === 'first' ? [load(DW, R1, FP, from), store(W, R0, field, R1)] : [];
  return [
    loadMapValue(R1, arrays.settings, SETTINGS.marked),
    load(W, R1, R1, 0),
    jeq.imm(R1, 0, unmarked),
    loadScratch(arrays, family.label('diverted')),
    storeImm(W, R0, SCRATCH.place, PLACE[place]),
    kept(SCRATCH.row, stack.FOUND),
    kept(SCRATCH.track, stack.FORMER_TRACK),
    mov.imm(R3, MARKED),
    callProgram(arrays),
    jump(family.label('diverted')),
    at(unmarked, mov.imm(R0, 0)),
  ];
}

/** Loads the number of the packet's service into r2: that of its port, or of every port. Jumps to `miss` if it has none. Clobbers r0 to r5. */
function findService(family: Family, services: number, miss: Label): Fragment {
  const everyPort = Symbol('every port');
  const found = Symbol('found');
  const numbered: Fragment = [load(W, R1, R0, 0), and.imm(R1, TO_SERVICE)];
  return [
    findEnd(family, services, { side: 'dst', port: true, protocol: true }),
    jeq.imm(R0, 0, everyPort),
    numbered,
    jne.imm(R1, 0, found),
    at(everyPort, findEnd(family, services, { side: 'dst', port: false, protocol: true })),
    jeq.imm(R0, 0, miss),
    numbered,
    jeq.imm(R1, 0, miss),
    at(found, load(W, R2, R0, SERVICE_NUMBER)),
    jeq.imm(R2, 0, miss),
    and.imm(R2, 0xffff),
  ];
}

/** Stores the `track`, r2, and jumps to `miss` if the director decides about the row. Clobbers r1 and r2. */
const unlessReusable = ({ settings }: Arrays, miss: Label): Fragment => [
  loadMapValue(R1, settings, sysctlOffset('conn_reuse_mode')),
  load(W, R1, R1, 0),
  jeq.imm(R1, 0, miss),
  mov32.reg(R2, R2),
  store(DW, FP, stack.FORMER_TRACK, R2),
  and.imm(R2, TRACK.TEMPLATED),
  jne.imm(R2, 0, miss),
];

/** Jumps to `miss` if new connections go up, or if one whose client port is not known may be meant. Clobbers r1 and r2. */
const unlessDeferred = ({ settings, head }: Arrays, miss: Label): Fragment => [
  loadMapValue(R1, settings),
  load(W, R2, R1, SETTINGS.deferred),
  jne.imm(R2, 0, miss),
  loadMapValue(R1, head),
  load(W, R2, R1, HEAD.open),
  jne.imm(R2, 0, miss),
];

/** Jumps to `miss` unless it is a SYN, or a datagram with a checksum, and whole. Clobbers r1 and r2. */
function unlessFirst(family: Family, hook: Hook, miss: Label): Fragment {
  const { protocol, transport } = family;
  const datagram = Symbol('datagram');
  const first = Symbol('first');
  return [
    load(B, R1, PACKET, protocol),
    jne.imm(R1, TCP, datagram),
    load(DW, R1, FP, stack.FLAGS),
    and.imm(R1, SYN | ACK | FIN | RST),
    jne.imm(R1, SYN, miss),
    jump(first),
    // What a tunnel with a checksum requires: the destination, which may have one, is not known yet.
    at(datagram, unlessSummed(family, miss)),
    at(first, load(H, R1, PACKET, transport)),
    jeq.imm(R1, asLoaded(FTP_DATA_PORT), miss),
    hook.unlessSingle(miss),
  ];
}

/** Jumps to `miss` unless the source is one host's address, not of loopback. Clobbers r1. */
const unlessClient = ({ version, src }: Family, miss: Label): Fragment =>
  version === 4
    ? [
        load(B, R1, PACKET, src),
        jeq.imm(R1, 0, miss),
        jeq.imm(R1, LOOPBACK_NET, miss),
        jge.imm(R1, FIRST_MULTICAST, miss),
      ]
    : [
        load(B, R1, PACKET, src),
        jeq.imm(R1, MULTICAST_6, miss),
        // The unspecified address, loopback, and IPv4 addresses in IPv6 packets.
        load(DW, R1, PACKET, src),
        jeq.imm(R1, 0, miss),
      ];

/**
 * Stores BYPASSED, and the number of the scheduler of the service in r2, or of the program of templates; jumps to `miss` unless a
 * program has that scheduler, and can forward the packet to each destination. Clobbers r0, r1, r3.
 */
function unlessScheduled(family: Family, { services }: Arrays, miss: Label): Fragment {
  const scheduled = Symbol('scheduled');
  const selected = Symbol('selected');
  return [
    serviceRecord({ services }, R0, R2),
    load(W, R1, R0, SERVICE.flags),
    mov.reg(R3, R1),
    and.imm(R3, SERVICE_FLAGS.BYPASSED),
    store(DW, FP, stack.BYPASSED, R3),
    and.imm(R1, SERVICE_FLAGS.IN_USE | SERVICE_FLAGS.PERSISTENT),
    jeq.imm(R1, SERVICE_FLAGS.IN_USE, scheduled),
    and.imm(R1, SERVICE_FLAGS.IN_USE),
    jeq.imm(R1, 0, miss),
    // Whether the packet can be forwarded is the destination's matter: nothing was changed before that is known.
    mov.imm(R1, PERSIST),
    jump(selected),
    at(scheduled, loadLength(family)),
    load(H, R1, R0, SERVICE.longest),
    jgt.reg(R3, R1, miss),
    load(W, R1, R0, SERVICE.scheduler),
    jeq.imm(R1, 0, miss),
    jge.imm(R1, FORWARD_ONCE, miss),
    at(selected, store(DW, FP, stack.SCHEDULER_NUMBER, R1)),
  ];
}

/** Jumps to `miss` if rows of the home, whose byte offset is in r0, lie in the annex. Clobbers r0 to r2. */
export const unlessNear = ({ spilled }: Arrays, miss: Label): Fragment => [
  mov.reg(R1, R0),
  rsh.imm(R1, ROW_SHIFT),
  rsh.imm(R0, ROW_SHIFT + 5),
  lsh.imm(R0, 2),
  loadMapValue(R2, spilled),
  add.reg(R2, R0),
  load(W, R0, R2, 0),
  and.imm(R1, 31),
  rsh.reg(R0, R1),
  jset.imm(R0, 1, miss),
];

/** Writes the entry of this processor. Clobbers r0 to r5. */
function write(family: Family, arrays: Arrays, miss: Label): Fragment {
  const { version, protocol, transport, src, dst } = family;
  const address = (field: number, at: number): Fragment =>
    version === 4
      ? [
          storeImm(DW, R0, field, 0),
          storeImm(W, R0, field + 8, MAPPED_WORD),
          load(W, R1, PACKET, at),
          store(W, R0, field + 12, R1),
        ]
      : [0, 8].map((half) => [load(DW, R1, PACKET, at + half), store(DW, R0, field + half, R1)]);
  const kept = (field: number, from: number): Fragment => [load(DW, R1, FP, from), store(W, R0, field, R1)];
  return [
    loadScratch(arrays, miss),
    kept(SCRATCH.service, stack.SERVICE_NUMBER),
    storeImm(W, R0, SCRATCH.destination, 0),
    storeImm(DW, R0, SCRATCH.bits, 0),
    load(B, R1, PACKET, protocol),
    store(B, R0, SCRATCH.protocol, R1),
    storeImm(B, R0, SCRATCH.family, version),
    // Both ports.
    load(H, R1, PACKET, transport),
    store(H, R0, SCRATCH.clientPort, R1),
    load(H, R1, PACKET, transport + 2),
    store(H, R0, SCRATCH.virtualPort, R1),
    address(SCRATCH.client, src),
    address(SCRATCH.virtual, dst),
    kept(SCRATCH.home, stack.HOME),
    kept(SCRATCH.nextHop, stack.CLIENT_HOP),
    kept(SCRATCH.row, stack.FOUND),
    kept(SCRATCH.track, stack.FORMER_TRACK),
  ];
}

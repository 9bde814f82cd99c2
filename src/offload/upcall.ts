/** Emits what happens to packets without a known flow: those of the director's services are sent to it, others pass. */

import { MAP_LOOKUP } from '../ebpf/helper.ts';
import {
  add,
  at,
  B,
  call,
  DW,
  FP,
  type Fragment,
  H,
  jeq,
  jge,
  jne,
  jset,
  jump,
  load,
  loadMap,
  mov,
  R0,
  R1,
  R2,
  store,
  storeImm,
  W,
} from '../ebpf/instruction.ts';
import { ICMP, PARAMETER_PROBLEM, SOURCE_QUENCH, TIME_EXCEEDED, UNREACHABLE } from '../wire/icmp.ts';
import { FIRST_INFORMATIONAL, ICMP6 } from '../wire/icmp6.ts';
import { DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ROUTING } from '../wire/ipv6.ts';
import { SCTP } from '../wire/sctp.ts';
import { PACKET } from './hooks.ts';
import {
  FROM_SERVER,
  OWN_ADDRESS,
  PIECE_FROM_SERVER,
  PIECE_TO_SERVICE,
  SERVICE_PORT,
  SERVICE_PROTOCOL,
  SERVICE_VERSION,
  TO_SERVICE,
} from './layout.ts';
import type { Family } from './parse.ts';

/** Where packets are sent that the director has to see. */
export interface Upcall {
  /** Index of the tap device. */
  readonly interfaceIndex: number;
  /** Descriptor of the map of services. */
  readonly services: number;
}

/** Types of ICMP errors that quote a packet of a connection (RFC 792). */
const ICMP_ERRORS = [UNREACHABLE, SOURCE_QUENCH, TIME_EXCEEDED, PARAMETER_PROBLEM];

/* Stack offsets of the protocol and the key. */
const PROTOCOL = -16;
const KEY = -40;

/** Which end of a packet is looked up, and whether its port and protocol are part of the key. */
interface End {
  readonly side: 'src' | 'dst';
  readonly port: boolean;
  readonly protocol: boolean;
}

/** Stores the protocol of the packet for `findEnd`. Clobbers r1. */
export const keepProtocol = ({ protocol }: Family): Fragment => [
  load(B, R1, PACKET, protocol),
  store(DW, FP, PROTOCOL, R1),
];

/** Looks up an end of the packet: r0 is the address of its value in the map, or 0. Clobbers r1 to r5. */
export function findEnd(
  { version, address, src, dst, transport }: Family,
  services: number,
  end: End,
): Fragment {
  const { side } = end;
  const from = side === 'src' ? src : dst;
  return [
    address === 4
      ? [
          load(W, R1, PACKET, from),
          store(W, FP, KEY, R1),
          storeImm(W, FP, KEY + 4, 0),
          storeImm(DW, FP, KEY + 8, 0),
        ]
      : [
          load(DW, R1, PACKET, from),
          store(DW, FP, KEY, R1),
          load(DW, R1, PACKET, from + 8),
          store(DW, FP, KEY + 8, R1),
        ],
    end.port
      ? [load(H, R1, PACKET, transport + (side === 'src' ? 0 : 2)), store(H, FP, KEY + SERVICE_PORT, R1)]
      : storeImm(H, FP, KEY + SERVICE_PORT, 0),
    end.protocol
      ? [load(DW, R1, FP, PROTOCOL), store(B, FP, KEY + SERVICE_PROTOCOL, R1)]
      : storeImm(B, FP, KEY + SERVICE_PROTOCOL, 0),
    storeImm(B, FP, KEY + SERVICE_VERSION, version),
    loadMap(R1, services),
    mov.reg(R2, FP),
    add.imm(R2, KEY),
    call(MAP_LOOKUP),
  ];
}

/** Jumps to `target` if the map has `flag` for that end of the packet. Clobbers r0 to r5. */
function lookUp(family: Family, services: number, end: End, flag: number, target: string): Fragment {
  const next = Symbol('next');
  return [
    findEnd(family, services, end),
    jeq.imm(R0, 0, next),
    load(W, R1, R0, 0),
    jset.imm(R1, flag, target),
    at(next, mov.imm(R0, 0)),
  ];
}

/** What is done first with a packet of no connection: one with ports, one without, and one of another protocol. */
export type Before = Readonly<Record<'miss' | 'pieces' | 'other', () => Fragment>>;

/**
 * Labels: `miss`: a packet with ports, `pieces`: one whose ports are missing or moved, `other`: another protocol. `before` may
 * clobber r0 to r5.
 */
export function upcalls(family: Family, upcall: Upcall | undefined, before: Before): Fragment {
  const { version, protocol, transport, label } = family;
  const places = [label('miss'), label('pieces'), label('other')];
  if (!upcall)
    return places
      .filter((place) => place !== label('pieces') || version === 4)
      .map((place) => at(place, jump('pass')));
  const { services } = upcall;
  const own = { port: true, protocol: true };
  const anyPort = { port: false, protocol: true };
  const host = { port: false, protocol: false };
  const lookUpEnd = (side: End['side'], end: Omit<End, 'side'>, flag: number): Fragment =>
    lookUp(family, services, { side, ...end }, flag, flag === OWN_ADDRESS ? 'pass' : 'up');
  const icmp = version === 4 ? ICMP : ICMP6;
  const errors: Fragment =
    version === 4
      ? [ICMP_ERRORS.map((type) => jeq.imm(R1, type, label('pieces'))), jump('pass')]
      : jge.imm(R1, FIRST_INFORMATIONAL, 'pass');
  return [
    at(label('miss'), mov.imm(R0, 0)),
    before.miss(),
    keepProtocol(family),
    lookUpEnd('dst', own, TO_SERVICE),
    lookUpEnd('dst', anyPort, TO_SERVICE),
    lookUpEnd('dst', host, OWN_ADDRESS),
    lookUpEnd('src', own, FROM_SERVER),
    lookUpEnd('src', anyPort, FROM_SERVER),
    jump('pass'),
    at(label('other'), mov.imm(R0, 0)),
    before.other(),
    load(B, R1, PACKET, protocol),
    jeq.imm(R1, SCTP, label('miss')),
    version === 6
      ? [
          // Behind other extension headers the protocol is unknown: the address decides.
          [HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS].map((header) => jeq.imm(R1, header, label('any'))),
          jne.imm(R1, FRAGMENT, label('whole-other')),
          load(B, R1, PACKET, transport),
          store(DW, FP, PROTOCOL, R1),
          jump(label('sorted')),
        ]
      : [],
    at(label('whole-other'), jne.imm(R1, icmp, 'pass')),
    load(B, R1, PACKET, transport),
    errors,
    at(label('pieces'), keepProtocol(family)),
    at(label('sorted'), mov.imm(R0, 0)),
    before.pieces(),
    lookUpEnd('dst', anyPort, PIECE_TO_SERVICE),
    lookUpEnd('dst', host, OWN_ADDRESS),
    lookUpEnd('src', anyPort, PIECE_FROM_SERVER),
    jump('pass'),
    version === 6
      ? [
          at(label('any'), mov.imm(R0, 0)),
          before.pieces(),
          lookUpEnd('dst', host, PIECE_TO_SERVICE),
          lookUpEnd('dst', host, OWN_ADDRESS),
          lookUpEnd('src', host, PIECE_FROM_SERVER),
          jump('pass'),
        ]
      : [],
  ];
}

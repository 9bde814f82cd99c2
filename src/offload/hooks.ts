/** What differs between the places where a program can stand: XDP in the driver, and tc (tcx), where the kernel has its own picture of the packet. */

import { REDIRECT, SKB_PULL_DATA, XDP_ADJUST_HEAD } from '../ebpf/helper.ts';
import {
  add,
  at,
  call,
  DW,
  exit,
  FP,
  type Fragment,
  H,
  jeq,
  jgt,
  jle,
  jne,
  jump,
  load,
  mov,
  or,
  R0,
  R1,
  R2,
  R4,
  R6,
  R7,
  R8,
  R9,
  type Register,
  store,
  storeImm,
  sub,
  W,
} from '../ebpf/instruction.ts';
import { ETHERNET_HEADER, VLAN_TAG } from '../wire/ethernet.ts';
import { ETHERTYPE, NETWORK, TAG_CONTROL, VLAN_TYPE } from './header-fields.ts';
import { ACTION_INTERFACE, ACTION_MACS, ACTION_VLAN } from './layout.ts';

/** The context, for the whole program. */
export const CONTEXT = R6;
/** The Ethernet header, less any tag: the IP header is 14 octets further on. */
export const PACKET = R7;
/** The slot that was found; before that, the table. */
export const SLOT_AT = R8;
/** The action; before that, the end of the packet's octets. */
export const ACTION_AT = R9;
export const END = R9;

/** Stack: octets of the tag that the packet came with, 0 or 4 (XDP). */
const TAGGED = -8;

export type HookName = 'xdp' | 'tc';

export interface Hook {
  readonly name: HookName;
  /** The packet's fate, in r0. pass: the kernel has it. */
  readonly pass: number;
  readonly drop: number;
  /** Sets PACKET and END; what cannot be the director's goes to `pass`. */
  readonly begin: Fragment;
  /** To `pass` where the frame is addressed to somebody else and was heard all the same: by a card that hears all. */
  readonly unlessOurs: Fragment;
  /** Behind `begin`: a packet whose EtherType (in r1) is none of ours; with a tag it is looked at again, from `again` on. */
  readonly otherType: (again: string) => Fragment;
  /** Sets PACKET again after a helper that may have moved it; `octets` of it are there, or it is dropped. Loses r2, r4. */
  readonly reload: (octets: number) => Fragment;
  /** Tells the verifier anew that so many octets of the packet are there. Loses r2, r4. */
  readonly readable: (octets: number) => Fragment;
  /** To `target` where the frame ends before the IP packet, whose octets are in `length`. Loses r2. */
  readonly unlessWhole: (length: Register, target: string) => Fragment;
  /** From behind the action's rewriting: layer 2, and out. */
  readonly transmit: Fragment;
}

/** To `target` unless so many octets of the packet can be read. Loses r2. */
export const unlessReadable = (octets: number, target: string): Fragment => [
  mov.reg(R2, PACKET),
  add.imm(R2, octets),
  jgt.reg(R2, END, target),
];

const pointers = (data: number, end: number, last: Register): Fragment => [
  load(W, PACKET, CONTEXT, data),
  load(W, last, CONTEXT, end),
];

const readable =
  (end: number) =>
  (octets: number): Fragment => [
    load(W, R4, CONTEXT, end),
    mov.reg(R2, PACKET),
    add.imm(R2, octets),
    jgt.reg(R2, R4, 'drop'),
  ];

const reloading =
  (data: number, end: number) =>
  (octets: number): Fragment => [load(W, PACKET, CONTEXT, data), readable(end)(octets)];

/** Both MAC addresses, twelve octets. */
const addresses: Fragment = [
  load(DW, R1, ACTION_AT, ACTION_MACS),
  store(W, PACKET, 0, R1),
  load(W, R2, ACTION_AT, ACTION_MACS + 4),
  store(W, PACKET, 4, R2),
  load(W, R1, ACTION_AT, ACTION_MACS + 8),
  store(W, PACKET, 8, R1),
];

/** To another interface, or out of this one again. */
const send: Fragment = [load(W, R1, ACTION_AT, ACTION_INTERFACE), mov.imm(R2, 0), call(REDIRECT), exit()];

/** To an interface by its number. */
export const redirectTo = (interfaceIndex: number): Fragment => [
  mov.imm(R1, interfaceIndex),
  mov.imm(R2, 0),
  call(REDIRECT),
  exit(),
];

/* struct xdp_md of include/uapi/linux/bpf.h. */
const XDP_DATA = 0;
const XDP_DATA_END = 4;
const reloadXdp = reloading(XDP_DATA, XDP_DATA_END);

/** Moves the beginning of the packet by what is in r2; a packet without room for that is dropped. */
export const adjustHead: Fragment = [mov.reg(R1, CONTEXT), call(XDP_ADJUST_HEAD), jne.imm(R0, 0, 'drop')];

/** The tag that the packet came with is taken off. PACKET is to be set again. */
export function untag(): Fragment {
  const untagged = Symbol('untagged');
  return [
    load(DW, R2, FP, TAGGED),
    jeq.imm(R2, 0, untagged),
    storeImm(DW, FP, TAGGED, 0),
    mov.imm(R2, VLAN_TAG),
    adjustHead,
    at(untagged, mov.imm(R2, 0)),
  ];
}

export const xdp: Hook = {
  name: 'xdp',
  pass: 2,
  drop: 1,
  begin: [pointers(XDP_DATA, XDP_DATA_END, END), storeImm(DW, FP, TAGGED, 0)],
  // Nobody has looked yet: the card's own filter has to do.
  unlessOurs: [],
  otherType: (again) => [
    jne.imm(R1, VLAN_TYPE, 'pass'),
    load(DW, R1, FP, TAGGED),
    jne.imm(R1, 0, 'pass'),
    storeImm(DW, FP, TAGGED, VLAN_TAG),
    add.imm(PACKET, VLAN_TAG),
    jump(again),
  ],
  reload: reloadXdp,
  readable: readable(XDP_DATA_END),
  unlessWhole: (length, target) => [
    mov.reg(R2, PACKET),
    add.imm(R2, NETWORK),
    add.reg(R2, length),
    jgt.reg(R2, END, target),
  ],
  transmit: [
    load(H, R1, ACTION_AT, ACTION_VLAN),
    load(DW, R2, FP, TAGGED),
    or.reg(R1, R2),
    jne.imm(R1, 0, 'tags'),
    at('plain', addresses),
    send,
    // The packet begins 4 octets later with a tag less, 4 earlier with one more.
    at('tags', load(H, R1, ACTION_AT, ACTION_VLAN)),
    jeq.imm(R1, 0, 'shift'),
    sub.imm(R2, VLAN_TAG),
    at('shift', adjustHead),
    reloadXdp(ETHERNET_HEADER + VLAN_TAG),
    load(H, R1, ACTION_AT, ACTION_VLAN),
    jeq.imm(R1, 0, 'plain'),
    storeImm(H, PACKET, ETHERTYPE, VLAN_TYPE),
    store(H, PACKET, TAG_CONTROL, R1),
    addresses,
    send,
  ],
};

/* struct __sk_buff of include/uapi/linux/bpf.h. */
const SKB_LENGTH = 0;
const SKB_PACKET_TYPE = 4;
const SKB_VLAN_PRESENT = 20;
const SKB_DATA = 76;
const SKB_DATA_END = 80;
export const SKB_INTERFACE = 40;
export const SKB_GSO_SIZE = 176;
/** Addressed to this host's MAC address (include/uapi/linux/if_packet.h). */
const PACKET_HOST = 0;
/** Octets that are looked at: Ethernet, IPv6 and TCP without options. */
const HEADERS = 74;
const reloadSkb = reloading(SKB_DATA, SKB_DATA_END);

export const tc: Hook = {
  name: 'tc',
  // TCX_NEXT: other programs have their turn.
  pass: -1,
  drop: 2,
  begin: [
    // A tagged packet comes by again on the VLAN's own interface.
    load(W, R1, CONTEXT, SKB_VLAN_PRESENT),
    jne.imm(R1, 0, 'pass'),
    pointers(SKB_DATA, SKB_DATA_END, END),
    // Headers may be where programs cannot read them yet.
    load(W, R1, CONTEXT, SKB_LENGTH),
    jle.imm(R1, HEADERS, 'needed'),
    mov.imm(R1, HEADERS),
    at('needed', mov.reg(R2, PACKET)),
    add.reg(R2, R1),
    jle.reg(R2, END, 'linear'),
    mov.reg(R2, R1),
    mov.reg(R1, CONTEXT),
    call(SKB_PULL_DATA),
    pointers(SKB_DATA, SKB_DATA_END, END),
    at('linear', mov.imm(R1, 0)),
  ],
  unlessOurs: [load(W, R1, CONTEXT, SKB_PACKET_TYPE), jne.imm(R1, PACKET_HOST, 'pass')],
  otherType: () => jump('pass'),
  reload: reloadSkb,
  readable: readable(SKB_DATA_END),
  unlessWhole: (length, target) => [
    load(W, R2, CONTEXT, SKB_LENGTH),
    sub.imm(R2, NETWORK),
    jgt.reg(length, R2, target),
  ],
  transmit: [addresses, send],
};

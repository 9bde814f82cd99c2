/** What differs between the hooks: XDP, in the driver, and tc, where the kernel has metadata of the packet. */

import { REDIRECT, SKB_PULL_DATA, SKB_VLAN_POP, XDP_ADJUST_HEAD } from '../ebpf/helper.ts';
import {
  add,
  and,
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
  type Label,
  load,
  loadMapValue,
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
  R6,
  R7,
  R8,
  R9,
  type Register,
  rsh,
  store,
  storeImm,
  sub,
  W,
  xor,
} from '../ebpf/instruction.ts';
import { NEXT_HOP } from '../table/record-layout.ts';
import { ETHERNET_HEADER, MAC, VLAN_ID, VLAN_TAG } from '../wire/ethernet.ts';
import { IPV6_HEADER } from '../wire/ipv6.ts';
import { TCP_HEADER } from '../wire/tcp.ts';
import { asLoaded, ETHERTYPE, NETWORK, TAG_CONTROL, VLAN_TYPE } from './header-fields.ts';
import { INTERFACE, INTERFACE_SHIFT, INTERFACES } from './own-macs.ts';

/** Register of the context, in the whole program. */
export const CONTEXT = R6;
/** Register of the packet: 14 bytes before its IP header, where the Ethernet header is unless the frame is tagged. */
export const PACKET = R7;
/** Register of the row that is compared, or was found. */
export const ROW_AT = R8;
/** Register of the next hop; before that, of the end of the readable packet. */
export const HOP_AT = R9;
export const END = R9;

/** Stack offset of the bytes of the tag that the packet was received with: 0 or 4 (XDP). */
const TAGGED = -8;

export type HookName = 'xdp' | 'tc';

export interface Hook {
  readonly name: HookName;
  /** Return value by which the kernel processes the packet. */
  readonly pass: number;
  readonly drop: number;
  /** Sets PACKET and END; jumps to `pass` for packets that are never the director's. */
  readonly begin: Fragment;
  /**
   * Jumps to `pass` if the frame's MAC address is another host's (promiscuous mode). `macs`: descriptor of OwnMacs, for XDP;
   * undefined: XDP takes every frame. Clobbers r1 to r5.
   */
  readonly unlessOurs: (macs: number | undefined) => Fragment;
  /** Sets PACKET again after a helper that may have moved it; drops it if shorter than `octets`. Clobbers r2, r4. */
  readonly reload: (octets: number) => Fragment;
  /** Proves to the verifier again that `octets` bytes of the packet are readable. Clobbers r2, r4. */
  readonly readable: (octets: number) => Fragment;
  /** Jumps to `target` if the frame is shorter than the IP packet, whose length is in `length`. Clobbers r2. */
  readonly unlessWhole: (length: Register, target: string) => Fragment;
  /** Loads the index of the interface that received the packet into a register. */
  readonly ingress: (into: Register) => Fragment;
  /** Jumps to `target` if the packet is several merged ones. Clobbers r1. */
  readonly unlessSingle: (target: Label) => Fragment;
  /** Rewrites layer 2 and sends the packet, after its other changes. */
  readonly transmit: Fragment;
}

/** Jumps to `target` unless `octets` bytes of the packet are readable. Clobbers r2. */
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

/** Writes both MAC addresses. Clobbers r1, r2. */
const addresses: Fragment = [
  load(W, R1, HOP_AT, NEXT_HOP.to),
  store(W, PACKET, 0, R1),
  load(H, R2, HOP_AT, NEXT_HOP.to + 4),
  store(H, PACKET, 4, R2),
  load(W, R1, HOP_AT, NEXT_HOP.from),
  store(W, PACKET, MAC, R1),
  load(H, R2, HOP_AT, NEXT_HOP.from + 4),
  store(H, PACKET, MAC + 4, R2),
];

/** Sends the packet by the next hop's interface, which may be the one that received it. */
const send: Fragment = [load(W, R1, HOP_AT, NEXT_HOP.interface), mov.imm(R2, 0), call(REDIRECT), exit()];

/** Sends the packet by an interface, given by its index. */
export const redirectTo = (interfaceIndex: number): Fragment => [
  mov.imm(R1, interfaceIndex),
  mov.imm(R2, 0),
  call(REDIRECT),
  exit(),
];

/* struct xdp_md of include/uapi/linux/bpf.h. */
const XDP_DATA = 0;
const XDP_DATA_END = 4;
const XDP_INTERFACE = 12;
const reloadXdp = reloading(XDP_DATA, XDP_DATA_END);

/** Begin of the addresses of virtual routers, 00:00:5e:00:01 and :02 (RFC 9568, section 7.3): a device above has them. */
const VIRTUAL_ROUTER = 0x00_5e_00_00;

/** Compares the frame's address with that of its interface, if that is known. XDP runs before the kernel does so. */
function unlessOwnMac(macs: number): Fragment {
  const own = Symbol('own');
  const other = Symbol('other');
  return [
    load(W, R1, CONTEXT, XDP_INTERFACE),
    mov.reg(R4, R1),
    and.imm(R4, INTERFACES - 1),
    lsh.imm(R4, INTERFACE_SHIFT),
    loadMapValue(R3, macs),
    add.reg(R3, R4),
    load(W, R4, R3, INTERFACE.index),
    jne.reg(R4, R1, own),
    pointers(XDP_DATA, XDP_DATA_END, END),
    unlessReadable(ETHERNET_HEADER, 'pass'),
    load(W, R4, PACKET, 0),
    load(W, R5, R3, INTERFACE.mac),
    jne.reg(R4, R5, other),
    load(H, R1, PACKET, 4),
    load(H, R2, R3, INTERFACE.mac + 4),
    jeq.reg(R1, R2, own),
    at(other, jne.imm(R4, VIRTUAL_ROUTER, 'pass')),
    at(own, mov.imm(R1, 0)),
  ];
}

/** Moves the start of the packet by r2; drops a packet that has no room for it. Clobbers r0 to r5. */
export const adjustHead: Fragment = [mov.reg(R1, CONTEXT), call(XDP_ADJUST_HEAD), jne.imm(R0, 0, 'drop')];

/** Removes the tag that the packet was received with. PACKET has to be set again. Clobbers r0 to r5. */
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
  begin: [
    pointers(XDP_DATA, XDP_DATA_END, END),
    // No IP packet is shorter.
    unlessReadable(NETWORK + VLAN_TAG, 'pass'),
    // 1 if the frame has a tag, without a branch: the verifier would follow all that comes afterwards twice.
    load(H, R1, PACKET, ETHERTYPE),
    xor.imm(R1, VLAN_TYPE),
    sub.imm(R1, 1),
    rsh.imm(R1, 63),
    // As at the hook of tc: the kernel hands the packet of a VLAN to the VLAN's interface.
    load(H, R2, PACKET, TAG_CONTROL),
    and.imm(R2, asLoaded(VLAN_ID)),
    mul.reg(R2, R1),
    jne.imm(R2, 0, 'pass'),
    mul.imm(R1, VLAN_TAG),
    store(DW, FP, TAGGED, R1),
    add.reg(PACKET, R1),
  ],
  unlessOurs: (macs) => (macs === undefined ? [] : unlessOwnMac(macs)),
  reload: reloadXdp,
  readable: readable(XDP_DATA_END),
  unlessWhole: (length, target) => [
    mov.reg(R2, PACKET),
    add.imm(R2, NETWORK),
    add.reg(R2, length),
    jgt.reg(R2, END, target),
  ],
  ingress: (into) => load(W, into, CONTEXT, XDP_INTERFACE),
  unlessSingle: () => [],
  transmit: [
    load(H, R1, HOP_AT, NEXT_HOP.vlan),
    load(DW, R2, FP, TAGGED),
    or.reg(R1, R2),
    jne.imm(R1, 0, 'tags'),
    at('plain', addresses),
    send,
    // The start moves by 4 bytes for each tag that is removed or added.
    at('tags', load(H, R1, HOP_AT, NEXT_HOP.vlan)),
    jeq.imm(R1, 0, 'shift'),
    sub.imm(R2, VLAN_TAG),
    at('shift', adjustHead),
    reloadXdp(ETHERNET_HEADER + VLAN_TAG),
    load(H, R1, HOP_AT, NEXT_HOP.vlan),
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
const SKB_VLAN_TCI = 24;
const SKB_DATA = 76;
const SKB_DATA_END = 80;
export const SKB_INTERFACE = 40;
export const SKB_GSO_SIZE = 176;
/** Addressed to this host's MAC address (include/uapi/linux/if_packet.h). */
const PACKET_HOST = 0;
/** Bytes that programs read: Ethernet, IPv6 and TCP without options. */
const HEADERS = NETWORK + IPV6_HEADER + TCP_HEADER;
const reloadSkb = reloading(SKB_DATA, SKB_DATA_END);

export const tc: Hook = {
  name: 'tc',
  // TCX_NEXT, TC_ACT_UNSPEC: the next program or filter runs.
  pass: -1,
  drop: 2,
  begin: [
    // The packet of a VLAN arrives again at the VLAN's interface. VLAN id 0 is priority alone: the frame is untagged
    // (IEEE 802.1Q, 9.6), and the kernel removes the tag, too (__netif_receive_skb_core, Linux 6.1).
    load(W, R1, CONTEXT, SKB_VLAN_PRESENT),
    jeq.imm(R1, 0, 'untagged'),
    load(W, R1, CONTEXT, SKB_VLAN_TCI),
    and.imm(R1, VLAN_ID),
    jne.imm(R1, 0, 'pass'),
    mov.reg(R1, CONTEXT),
    call(SKB_VLAN_POP),
    jne.imm(R0, 0, 'drop'),
    at('untagged', pointers(SKB_DATA, SKB_DATA_END, END)),
    // Headers may be in pages that programs cannot read yet.
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
  unlessOurs: () => [load(W, R1, CONTEXT, SKB_PACKET_TYPE), jne.imm(R1, PACKET_HOST, 'pass')],
  reload: reloadSkb,
  readable: readable(SKB_DATA_END),
  unlessWhole: (length, target) => [
    load(W, R2, CONTEXT, SKB_LENGTH),
    sub.imm(R2, NETWORK),
    jgt.reg(length, R2, target),
  ],
  ingress: (into) => load(W, into, CONTEXT, SKB_INTERFACE),
  unlessSingle: (target) => [load(W, R1, CONTEXT, SKB_GSO_SIZE), jne.imm(R1, 0, target)],
  transmit: [addresses, send],
};

/**
 * Emits the answers to ARP requests and neighbor solicitations for the cluster's addresses. They contain the cluster's MAC
 * address, and the frame's source is the host's own: switches never learn where the cluster's address is.
 */
import { CSUM_DIFF, REDIRECT, SKB_PULL_DATA } from '../../ebpf/helper.ts';
import {
  add,
  and,
  at,
  B,
  call,
  exit,
  type Fragment,
  H,
  jne,
  jne32,
  jump,
  load,
  mov,
  R0,
  R1,
  R2,
  R3,
  R4,
  R5,
  rsh,
  store,
  storeImm,
  W,
  xor,
} from '../../ebpf/instruction.ts';
import { jumpIfFor } from '../../offload/decap.ts';
import { asLoaded, NETWORK } from '../../offload/header-fields.ts';
import { CONTEXT, PACKET, SKB_INTERFACE, tc, unlessReadable } from '../../offload/hooks.ts';
import { V6 } from '../../offload/parse.ts';
import type { Address } from '../../wire/address.ts';
import { ARP_LENGTH, ARP_REPLY, ARP_REQUEST } from '../../wire/arp.ts';
import { ETHERTYPE_ARP, MAC } from '../../wire/ethernet.ts';
import { ICMP6 } from '../../wire/icmp6.ts';
import {
  ADVERTISEMENT_LENGTH,
  NDP_HOP_LIMIT,
  NEIGHBOR_ADVERTISEMENT,
  NEIGHBOR_SOLICITATION,
} from '../../wire/ndp.ts';

export interface AnswerOptions {
  readonly addresses: readonly Address[];
  readonly clusterMac: Uint8Array;
  readonly ownMac: Uint8Array;
  /** Jumps to `pass` unless this is the default host. Clobbers r0 to r5. */
  readonly unlessDefault: Fragment;
  /** Counts an answer. */
  readonly count: Fragment;
}

/* Offsets of an ARP message (RFC 826), from the Ethernet header. */
const OPERATION = NETWORK + 6;
const SENDER_MAC = NETWORK + 8;
const SENDER = NETWORK + 14;
const TARGET_MAC = NETWORK + 18;
const TARGET = NETWORK + 24;
/** Hardware type Ethernet, protocol type IPv4; lengths of their addresses: the first six bytes, as loaded. */
const ARP_TYPES_LE = 0x0008_0100;
const ARP_LENGTHS_LE = 0x0406;

/* Offsets of a solicitation and its option (RFC 4861, 4.3 and 4.6.1), from the Ethernet header. */
const TYPE = V6.transport;
const CHECKSUM = TYPE + 2;
const FLAGS = TYPE + 4;
const SOLICITED = TYPE + 8;
const OPTION = TYPE + 24;
const OPTION_MAC = OPTION + 2;
/** Bytes of a solicitation with the option. */
const MESSAGE = ADVERTISEMENT_LENGTH;
/** Option: target link-layer address, 8 bytes. */
const TARGET_OPTION_LE = 0x0102;
/** Solicited, override. */
const ADVERTISEMENT_FLAGS_LE = 0x60;

/** Writes a constant MAC address. */
const writeMac = (offset: number, mac: Uint8Array): Fragment => {
  const view = new DataView(mac.buffer, mac.byteOffset, MAC);
  return [
    storeImm(W, PACKET, offset, view.getInt32(0, true)),
    storeImm(H, PACKET, offset + 4, view.getUint16(4, true)),
  ];
};

/** Copies within the packet. Clobbers r1. */
const move = (from: number, to: number, halves: number): Fragment =>
  Array.from({ length: halves }, (_, i) => [
    load(H, R1, PACKET, from + 2 * i),
    store(H, PACKET, to + 2 * i, R1),
  ]);

/** Sends the frame back by its interface. */
const sendBack: Fragment = [load(W, R1, CONTEXT, SKB_INTERFACE), mov.imm(R2, 0), call(REDIRECT), exit()];

/** Answers an ARP request; falls through for other frames. Expects the EtherType in r1. */
export function answerArp({ addresses, clusterMac, ownMac, unlessDefault, count }: AnswerOptions): Fragment {
  return [
    jne.imm(R1, asLoaded(ETHERTYPE_ARP), 'pass'),
    unlessReadable(NETWORK + ARP_LENGTH, 'pass'),
    load(W, R1, PACKET, NETWORK),
    jne32.imm(R1, ARP_TYPES_LE, 'pass'),
    load(H, R1, PACKET, NETWORK + 4),
    jne.imm(R1, ARP_LENGTHS_LE, 'pass'),
    load(H, R1, PACKET, OPERATION),
    jne.imm(R1, asLoaded(ARP_REQUEST), 'pass'),
    addresses.map((one) => jumpIfFor(one, TARGET, 'arp')),
    jump('pass'),
    at('arp', unlessDefault),
    storeImm(H, PACKET, OPERATION, asLoaded(ARP_REPLY)),
    move(SENDER_MAC, 0, MAC / 2),
    writeMac(MAC, ownMac),
    // The target becomes the sender, and the other way round.
    load(W, R2, PACKET, TARGET),
    move(SENDER_MAC, TARGET_MAC, (MAC + 4) / 2),
    store(W, PACKET, SENDER, R2),
    writeMac(SENDER_MAC, clusterMac),
    count,
    sendBack,
  ];
}

/** Answers a neighbor solicitation with a source; falls through for other IPv6 packets. */
export function answerSolicitation(options: AnswerOptions): Fragment {
  const { addresses, clusterMac, ownMac, unlessDefault, count } = options;
  const end = V6.transport + MESSAGE;
  return [
    at(V6.label('ip'), unlessReadable(V6.transport + 8, 'pass')),
    load(B, R1, PACKET, V6.protocol),
    jne.imm(R1, ICMP6, 'no-solicitation'),
    load(B, R1, PACKET, TYPE),
    jne.imm(R1, NEIGHBOR_SOLICITATION, 'no-solicitation'),
    mov.reg(R1, CONTEXT),
    mov.imm(R2, end),
    call(SKB_PULL_DATA),
    // Shorter ones have no source, or no option: of a host that searches for a duplicate, or that asks again with both.
    jne.imm(R0, 0, 'pass'),
    tc.reload(end),
    load(H, R1, PACKET, NETWORK + 4),
    jne.imm(R1, asLoaded(MESSAGE), 'pass'),
    load(B, R1, PACKET, V6.ttl),
    jne.imm(R1, NDP_HOP_LIMIT, 'pass'),
    addresses.map((one) => jumpIfFor(one, SOLICITED, 'solicited')),
    jump('pass'),
    at('solicited', unlessDefault),
    move(MAC, 0, MAC / 2),
    writeMac(MAC, ownMac),
    move(V6.src, V6.dst, V6.address / 2),
    move(SOLICITED, V6.src, V6.address / 2),
    storeImm(H, PACKET, TYPE, NEIGHBOR_ADVERTISEMENT),
    storeImm(H, PACKET, CHECKSUM, 0),
    storeImm(W, PACKET, FLAGS, ADVERTISEMENT_FLAGS_LE),
    storeImm(H, PACKET, OPTION, TARGET_OPTION_LE),
    writeMac(OPTION_MAC, clusterMac),
    // Addresses and message follow each other; the pseudo header has the length and the protocol as well.
    mov.imm(R1, 0),
    mov.imm(R2, 0),
    mov.reg(R3, PACKET),
    add.imm(R3, V6.src),
    mov.imm(R4, end - V6.src),
    mov.imm(R5, asLoaded(MESSAGE + ICMP6)),
    call(CSUM_DIFF),
    fold,
    fold,
    xor.imm(R0, 0xffff),
    store(H, PACKET, CHECKSUM, R0),
    count,
    sendBack,
    at('no-solicitation', mov.imm(R1, 0)),
  ];
}

/** Adds the upper half of the sum in r0 to the lower one (RFC 1071). Clobbers r1. */
const fold: Fragment = [mov.reg(R1, R0), rsh.imm(R1, 16), and.imm(R0, 0xffff), add.reg(R0, R1)];

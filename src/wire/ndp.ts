/** Neighbor solicitation and advertisement of IPv6 (RFC 4861), and the multicast addresses they are sent to. */
import { type Address, ANY6 } from './address.ts';
import { MAC } from './ethernet.ts';
import type { Frame } from './frame.ts';
import { icmp6 } from './icmp6.ts';

/* ICMPv6 types (RFC 4861 section 4). */
export const NEIGHBOR_SOLICITATION = 135;
export const NEIGHBOR_ADVERTISEMENT = 136;

/** Length of either message without options, and with a link-layer address, bytes. */
export const NDP_LENGTH = 24;
export const ADVERTISEMENT_LENGTH = 32;

/* Flags of an advertisement (RFC 4861 section 4.4). */
const ROUTER = 0x8000_0000;
const OVERRIDE = 0x2000_0000;
/** The hop limit that these messages must have: none came through a router (RFC 4861 section 7.1). */
export const NDP_HOP_LIMIT = 255;

/* Option types (RFC 4861 section 4.6); an option's length counts units of 8 bytes. */
const SOURCE_LINK_LAYER = 1;
const TARGET_LINK_LAYER = 2;

/* Offsets from the message's first byte. */
const TARGET = 8;
const OPTIONS = 24;

/** Reports whether every accessor of `ndp` is safe for [at, end). */
export const isNdp = (frame: Frame, at: number, end: number): boolean =>
  end - at >= NDP_LENGTH && icmp6.code(frame, at) === 0;

/** Accessors; `at` is the offset of the ICMPv6 header in the frame. */
export const ndp = {
  readTarget(frame: Frame, at: number, into: Address): void {
    for (let i = 0; i < 4; i++) into[i] = frame.view.getInt32(at + TARGET + 4 * i);
  },

  /**
   * Returns the offset of the MAC address in the message: the sender's in a solicitation, the target's in an
   * advertisement; -1 when it has none.
   */
  macOffset(frame: Frame, at: number, end: number): number {
    const wanted = icmp6.type(frame, at) === NEIGHBOR_ADVERTISEMENT ? TARGET_LINK_LAYER : SOURCE_LINK_LAYER;
    let option = at + OPTIONS;
    while (end - option >= 8) {
      const length = frame.view.getUint8(option + 1) * 8;
      if (length === 0 || length > end - option) return -1;
      if (frame.view.getUint8(option) === wanted) return length === 8 ? option + 2 : -1;
      option += length;
    }
    return -1;
  },

  /**
   * Writes a solicitation from the unspecified address, NDP_LENGTH bytes with the checksum: the probe of duplicate
   * address detection (RFC 4862 section 5.4.2), to `solicitedNode(target)`.
   */
  writeProbe(frame: Frame, at: number, target: Address): void {
    icmp6.write(frame, at, NEIGHBOR_SOLICITATION, 0, 0);
    writeTarget(frame, at, target);
    icmp6.recompute(frame, at, at + NDP_LENGTH, ANY6, solicitedNode(target));
  },

  /**
   * Writes an unsolicited advertisement of `target` from itself to all nodes, ADVERTISEMENT_LENGTH bytes with the
   * checksum, which overrides what neighbors have cached (RFC 4861 section 7.2.6).
   */
  writeAnnouncement(frame: Frame, at: number, mac: Uint8Array, target: Address, isRouter: boolean): void {
    icmp6.write(frame, at, NEIGHBOR_ADVERTISEMENT, 0, (OVERRIDE | (isRouter ? ROUTER : 0)) >>> 0);
    writeTarget(frame, at, target);
    frame.view.setUint16(at + OPTIONS, (TARGET_LINK_LAYER << 8) | 1);
    frame.bytes.set(mac, at + OPTIONS + 2);
    icmp6.recompute(frame, at, at + ADVERTISEMENT_LENGTH, target, ALL_NODES);
  },
} as const;

function writeTarget(frame: Frame, at: number, target: Address): void {
  for (let i = 0; i < 4; i++) frame.view.setInt32(at + TARGET + 4 * i, target[i]! | 0);
}

/** All nodes of a link, ff02::1 (RFC 4291 section 2.7.1). */
export const ALL_NODES: Address = Uint32Array.of(0xff020000, 0, 0, 1);

/** Returns the solicited-node group of an address, ff02::1:ffXX:XXXX (RFC 4291 section 2.7.1). */
export const solicitedNode = (address: Address): Address =>
  Uint32Array.of(0xff020000, 0, 1, 0xff000000 | (address[3]! & 0xffffff));

/** Returns the Ethernet address of an IPv6 group: 33:33 and its last 32 bits (RFC 2464 section 7). */
export function groupMac(group: Address): Uint8Array<ArrayBuffer> {
  const mac = new Uint8Array(MAC).fill(0x33);
  new DataView(mac.buffer).setUint32(2, group[3]!);
  return mac;
}

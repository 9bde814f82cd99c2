/** Neighbour solicitation and advertisement of IPv6 (RFC 4861), and the group addresses they are sent to. */
import type { Address } from './address.ts';
import { MAC } from './ethernet.ts';
import type { Frame } from './frame.ts';
import { icmp6 } from './icmp6.ts';

/* ICMPv6 types (RFC 4861 section 4). */
export const NEIGHBOR_SOLICITATION = 135;
export const NEIGHBOR_ADVERTISEMENT = 136;

/** Octets of either message without options, and of a solicitation with its link-layer address. */
export const NDP_LENGTH = 24;
export const SOLICITATION_LENGTH = 32;
/** The hop limit that these messages must have: none came through a router (RFC 4861 section 7.1). */
export const NDP_HOP_LIMIT = 255;

/* Option types (RFC 4861 section 4.6); an option's length counts units of 8 octets. */
const SOURCE_LINK_LAYER = 1;
const TARGET_LINK_LAYER = 2;

/* Offsets from the message's first octet. */
const TARGET = 8;
const OPTIONS = 24;

/** True when [at, end) has room for what `ndp` reads. */
export const isNdp = (frame: Frame, at: number, end: number): boolean =>
  end - at >= NDP_LENGTH && icmp6.code(frame, at) === 0;

/** Accessors; `at` is the offset of the ICMPv6 header in the frame. */
export const ndp = {
  readTarget(frame: Frame, at: number, into: Address): void {
    for (let i = 0; i < 4; i++) into[i] = frame.view.getInt32(at + TARGET + 4 * i);
  },

  /**
   * Offset of the MAC address that the message gives: of its sender in a solicitation, of its target in an
   * advertisement; -1 where it gives none.
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

  /** Writes the question who has `target`, SOLICITATION_LENGTH octets, from src to dst, checksum and all. */
  writeSolicitation(
    frame: Frame,
    at: number,
    mac: Uint8Array,
    target: Address,
    src: Address,
    dst: Address,
  ): void {
    const { view, bytes } = frame;
    icmp6.write(frame, at, NEIGHBOR_SOLICITATION, 0, 0);
    for (let i = 0; i < 4; i++) view.setInt32(at + TARGET + 4 * i, target[i]! | 0);
    view.setUint16(at + OPTIONS, (SOURCE_LINK_LAYER << 8) | 1);
    bytes.set(mac, at + OPTIONS + 2);
    icmp6.recompute(frame, at, at + SOLICITATION_LENGTH, src, dst);
  },
} as const;

/** The solicited-node group of an address, ff02::1:ffXX:XXXX (RFC 4291 section 2.7.1). */
export const solicitedNode = (address: Address): Address =>
  Uint32Array.of(0xff020000, 0, 1, 0xff000000 | (address[3]! & 0xffffff));

/** The Ethernet address of an IPv6 group: 33:33 and its last 32 bits (RFC 2464 section 7). */
export function groupMac(group: Address): Uint8Array<ArrayBuffer> {
  const mac = new Uint8Array(MAC).fill(0x33);
  new DataView(mac.buffer).setUint32(2, group[3]!);
  return mac;
}

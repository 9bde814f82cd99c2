/** The Ethernet header (IEEE 802.3) with its VLAN tags (802.1Q, stacked: 802.1ad), and MAC addresses. */
import type { Frame } from './frame.ts';

/** Bytes of the header without tags, and of one tag. */
export const ETHERNET_HEADER = 14;
export const VLAN_TAG = 4;
/** Bytes of a MAC address. */
export const MAC = 6;

/* EtherTypes (IANA, "IEEE 802 Numbers"). */
export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_VLAN = 0x8100;
export const ETHERTYPE_IPV6 = 0x86dd;
export const ETHERTYPE_SERVICE_VLAN = 0x88a8;

/** Frames with more VLAN tags are ignored. */
const MAX_TAGS = 4;

/* Offsets from the header's first byte. */
const DST = 0;
const SRC = 6;
const TYPE = 12;
/** The VLAN identifier's bits in the control word of a tag. */
export const VLAN_ID = 0x0fff;

/** A MAC address: six bytes. */
export type MacAddress = Uint8Array<ArrayBuffer>;

export const BROADCAST_MAC: MacAddress = new Uint8Array(MAC).fill(0xff);

/** Returns the MAC address of text such as 02:00:00:00:0a:01; undefined for other text. */
export function parseMac(text: string): MacAddress | undefined {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) return undefined;
  return Uint8Array.from(text.split(':'), (octet) => Number.parseInt(octet, 16));
}

/** Returns the text of the MAC address at `at`. */
export const formatMac = (bytes: Uint8Array, at = 0): string =>
  Array.from(bytes.subarray(at, at + MAC), (octet) => octet.toString(16).padStart(2, '0')).join(':');

/** Reports whether the MAC addresses at these offsets are equal. */
export function sameMac(a: Uint8Array, at: number, b: Uint8Array, bAt = 0): boolean {
  for (let i = 0; i < MAC; i++) if (a[at + i] !== b[bAt + i]) return false;
  return true;
}

function isTag(type: number): boolean {
  return type === ETHERTYPE_VLAN || type === ETHERTYPE_SERVICE_VLAN;
}

/** Copies six bytes without allocating a view. */
function copyMac(from: Uint8Array, at: number, to: Uint8Array, toAt: number): void {
  for (let i = 0; i < MAC; i++) to[toAt + i] = from[at + i]!;
}

/** Accessors; `at` is the offset of the header in the frame. */
export const ethernet = {
  /** Returns the bytes of header and tags; -1 when they do not end by `end`, or there are too many tags. */
  headerLength(frame: Frame, at: number, end: number): number {
    for (let length = ETHERNET_HEADER; length <= ETHERNET_HEADER + MAX_TAGS * VLAN_TAG; length += VLAN_TAG) {
      if (length > end - at) return -1;
      if (!isTag(frame.view.getUint16(at + length - 2))) return length;
    }
    return -1;
  },
  /** Returns the EtherType behind all tags; `headerLength` as returned above. */
  etherType: (frame: Frame, at: number, headerLength: number) => frame.view.getUint16(at + headerLength - 2),
  /** Returns the outermost VLAN's identifier, 0..4095; -1 for an untagged frame. */
  vlan: (frame: Frame, at: number) =>
    isTag(frame.view.getUint16(at + TYPE)) ? frame.view.getUint16(at + ETHERNET_HEADER) & VLAN_ID : -1,
  /** Return the offsets of the MAC addresses. */
  dst: (at: number) => at + DST,
  src: (at: number) => at + SRC,
  /** Reports whether the destination is broadcast or multicast. */
  isGroup: (frame: Frame, at: number) => (frame.view.getUint8(at + DST) & 1) !== 0,

  /** Writes a header without tags. */
  write(frame: Frame, at: number, dst: Uint8Array, dstAt: number, src: Uint8Array, type: number): void {
    copyMac(dst, dstAt, frame.bytes, at + DST);
    copyMac(src, 0, frame.bytes, at + SRC);
    frame.view.setUint16(at + TYPE, type);
  },
} as const;

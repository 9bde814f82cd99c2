/** Defines the tunnel types, and finds the inner packet of a tunnel packet. */
import { sum } from '../../wire/checksum.ts';
import type { Frame } from '../../wire/frame.ts';
import { Packet } from '../../wire/packet.ts';
import { isPartial, recompute } from '../../wire/transport-checksum.ts';

/** A tunnel type that is decapsulated here: the director's `ipvsadm --tun-type`. */
export type Encapsulation =
  | { readonly type: 'ipip' | 'gre' }
  | { readonly type: 'gue' /** UDP port. */; readonly port: number };

/** IP protocol number of GRE (RFC 2784). */
export const GRE = 47;

/**
 * The header of GRE: RFC 2784, with the key and the sequence number of RFC 2890.
 *
 *    0 1 2 3 4 ... 12 13 15 16              31
 *   +-+-+-+-+--------+-----+-----------------+
 *   |C| |K|S|   0    | Ver |  protocol type  |   each of C, K and S adds four octets
 *   +-+-+-+-+--------+-----+-----------------+
 */
const CHECKSUM = 0x8000;
const KEY = 0x2000;
const SEQUENCE = 0x1000;
const GRE_HEADER = 4;
const GRE_OPTION = 4;
const GRE_TYPE = 2;
const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;

/** GUE, draft-ietf-intarea-gue-09: version and control flag, both 0 here; length of the optional fields in words. */
const GUE_HEADER = 4;
const GUE_KIND = 0xe0;
const GUE_OPTIONS = 0x1f;
/** Version 1 of GUE has no header: its first bits are the version of an IP packet, 4 or 6. */
const GUE_DIRECT = 0x40;

/** Returns the maximum length of the header between the two IP headers, bytes. */
export function overhead(encapsulation: Encapsulation): number {
  switch (encapsulation.type) {
    case 'ipip':
      return 0;
    case 'gre':
      return GRE_HEADER + GRE_OPTION;
    case 'gue':
      return 8 + GUE_HEADER;
    default:
      return encapsulation satisfies never;
  }
}

/**
 * Completes the transport checksum of the inner packet at `at` that the sender has left to its network card: between virtual
 * machines and namespaces of one host no card completes it, and an outer checksum is that of the complete packet.
 */
export function completeInner(frame: Frame, at: number): void {
  if (inner.decodeQuoted(frame, at, frame.end) && isPartial(inner)) recompute(inner);
}
const inner = new Packet();

/** Returns the offset of the inner packet of the GRE packet at `at`; -1 if there is none or its checksum is wrong. */
export function insideGre(frame: Frame, at: number): number {
  if (frame.end - at < GRE_HEADER) return -1;
  const flags = frame.view.getUint16(at);
  const type = frame.view.getUint16(at + GRE_TYPE);
  if ((flags & ~(CHECKSUM | KEY | SEQUENCE)) !== 0) return -1;
  if (type !== ETHERTYPE_IPV4 && type !== ETHERTYPE_IPV6) return -1;
  let length = GRE_HEADER;
  for (const option of [CHECKSUM, KEY, SEQUENCE]) if (flags & option) length += GRE_OPTION;
  if (length > frame.end - at) return -1;
  completeInner(frame, at + length);
  if (flags & CHECKSUM && sum(frame.view, at, frame.end) !== 0xffff) return -1;
  return at + length;
}

/** Returns the offset of the inner packet of the GUE payload at `at`; -1 if there is none. */
export function insideGue(frame: Frame, at: number): number {
  if (frame.end - at < GUE_HEADER) return -1;
  const first = frame.view.getUint8(at);
  if ((first & 0xc0) === GUE_DIRECT) return at;
  if ((first & GUE_KIND) !== 0) return -1;
  const inside = at + GUE_HEADER + (first & GUE_OPTIONS) * 4;
  return inside < frame.end ? inside : -1;
}

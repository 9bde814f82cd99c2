/** A packet in memory: octets with headroom, reused. */

/** Octets kept free before a received packet, so that headers grow without copying it (the same as XDP gives). */
export const HEADROOM = 256;

/** The longest IP packet (RFC 791: total length is 16 bits; RFC 8200: 40 + 65535, jumbograms are not handled). */
export const MAX_PACKET = 65_575;

const NO_FRAGMENTS: readonly number[] = [];

/**
 * One packet, bytes[start, end). Between drivers and the director that is an IP packet, without its layer 2.
 * Frames are reused: nobody keeps one, or a view of one, after the call that handed it over.
 */
export class Frame {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  /** Offset of the packet's first octet. */
  start = HEADROOM;
  /** Offset just past the packet's last octet. */
  end = HEADROOM;
  /** When the packet was heard, in ms of the driver's clock. */
  at = 0;
  /** Octets of the longest IP fragment that this datagram was put together from; 0: it came in one piece. */
  fragmentSize = 0;
  /** Index of the interface that the packet came in by; 0: unknown. */
  ingress = 0;
  /** Identification of those fragments (IPv6; IPv4 has it in its header). */
  fragmentId = 0;
  /** Octets of data in each of them but the first, in order; empty: they need not leave as they came. */
  laterFragments: readonly number[] = NO_FRAGMENTS;
  /** Octets of headers that each of `laterFragments` had at least. */
  laterHeaders = 0;
  /** Whether the fragments had DF, and have it again when they leave (IPv4). */
  keepsDontFragment = false;

  /** `capacity`: the longest packet that fits, in octets, headroom apart. */
  constructor(capacity = MAX_PACKET) {
    const buffer = new ArrayBuffer(HEADROOM + capacity);
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
  }

  /** Octets in the packet. */
  get length(): number {
    return this.end - this.start;
  }

  /** Fills the frame with a copy of `octets`, after the headroom; false when they do not fit. */
  load(octets: Uint8Array, at = 0): boolean {
    if (octets.length > this.bytes.length - HEADROOM) return false;
    this.bytes.set(octets, HEADROOM);
    this.start = HEADROOM;
    this.end = HEADROOM + octets.length;
    this.at = at;
    this.setWhole();
    return true;
  }

  /** Says that the packet came in one piece. */
  setWhole(): void {
    this.fragmentSize = 0;
    this.ingress = 0;
    this.fragmentId = 0;
    this.laterFragments = NO_FRAGMENTS;
    this.keepsDontFragment = false;
  }

  /** Says from which fragments the packet was put together; see the fields. */
  setFragments(
    longest: number,
    id: number,
    later: readonly number[],
    laterHeaders: number,
    keepsDontFragment: boolean,
  ): void {
    this.fragmentSize = longest;
    this.fragmentId = id;
    this.laterFragments = later;
    this.laterHeaders = laterHeaders;
    this.keepsDontFragment = keepsDontFragment;
  }

  /** Makes room for `octets` more octets in front of the packet; false when the headroom is used up. */
  prepend(octets: number): boolean {
    if (octets > this.start) return false;
    this.start -= octets;
    return true;
  }

  /** A copy of the packet's octets. */
  copy(): Uint8Array<ArrayBuffer> {
    return this.bytes.slice(this.start, this.end);
  }
}

/** A packet in memory: bytes with headroom, reused. */

/** Bytes kept free before a received packet, so that headers can be prepended without a copy (as in XDP). */
export const HEADROOM = 256;

/** The longest IP packet (RFC 791: total length is 16 bits; RFC 8200: 40 + 65535, jumbograms are not handled). */
export const MAX_PACKET = 65_575;

const NO_FRAGMENTS: readonly number[] = [];

/**
 * One packet, bytes[start, end). Between drivers and the director it is an IP packet without link-layer
 * header. Frames are reused: a callee must not keep a frame, or a view of it, after it returned.
 */
export class Frame {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  /** Offset of the packet's first byte. */
  start = HEADROOM;
  /** Offset after the packet's last byte. */
  end = HEADROOM;
  /** When the packet was received, in ms of the driver's clock. */
  at = 0;
  /** Bytes of the longest IP fragment that this datagram was put together from; 0: it came in one piece. */
  fragmentSize = 0;
  /** Index of the interface that the packet came in by; 0: unknown. */
  ingress = 0;
  /** Identification of those fragments (IPv6; IPv4 has it in its header). */
  fragmentId = 0;
  /** Bytes of data in each of them but the first, in order; empty: they need not leave as they came. */
  laterFragments: readonly number[] = NO_FRAGMENTS;
  /** Bytes of headers that each of `laterFragments` had at least. */
  laterHeaders = 0;
  /** Whether the fragments had DF, and have it again when they leave (IPv4). */
  keepsDontFragment = false;

  /** `capacity`: bytes of the longest packet that fits, without headroom. */
  constructor(capacity = MAX_PACKET) {
    const buffer = new ArrayBuffer(HEADROOM + capacity);
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
  }

  /** Returns the bytes in the packet. */
  get length(): number {
    return this.end - this.start;
  }

  /** Fills the frame with a copy of `octets`, after the headroom; returns false when they do not fit. */
  load(octets: Uint8Array, at = 0): boolean {
    if (octets.length > this.bytes.length - HEADROOM) return false;
    this.bytes.set(octets, HEADROOM);
    this.start = HEADROOM;
    this.end = HEADROOM + octets.length;
    this.at = at;
    this.setWhole();
    return true;
  }

  /** Marks the packet as not fragmented. */
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

  /** Reserves `octets` bytes before the packet; returns false when the headroom is too small. */
  prepend(octets: number): boolean {
    if (octets > this.start) return false;
    this.start -= octets;
    return true;
  }

  /** Returns a copy of the packet's bytes. */
  copy(): Uint8Array<ArrayBuffer> {
    return this.bytes.slice(this.start, this.end);
  }
}

/** Splits an IP packet into fragments (RFC 791 section 3.2, RFC 8200 section 4.5). */
import { type Frame, HEADROOM } from './frame.ts';
import { DONT_FRAGMENT, FRAGMENT_OFFSET, IPV4_HEADER, ipv4, MORE_FRAGMENTS } from './ipv4.ts';
import {
  DESTINATION_OPTIONS,
  extensionLength,
  FRAGMENT,
  FRAGMENT_HEADER,
  HOP_BY_HOP,
  IPV6_HEADER,
  ipv6,
  nextHeaderOctet,
  ROUTING,
} from './ipv6.ts';

/** IPv4 options of one byte (RFC 791). */
const END_OF_OPTIONS = 0;
const NO_OPERATION = 1;
/** The flag of options that every fragment carries (RFC 791 section 3.1). */
const COPIED = 0x80;

/**
 * Splits one packet at a time: `begin`, then `next` until it returns false. The packet must not change
 * meanwhile.
 */
export class Splitter {
  #frame!: Frame;
  #version = 4;
  /** Bytes of headers before the fragmentable part. */
  #header = 0;
  /** Offset in the frame of the next fragment's data, and of the end of all data. */
  #from = 0;
  #to = 0;
  /** Bytes of data that the last fragment has room for, and those that the others carry, a multiple of 8. */
  #room = 0;
  #share = 0;
  /** True while the packet is split as it came: the first fragment, then those of `laterFragments`. */
  #inSame = false;
  /** Number of the next fragment. */
  #number = 0;
  #id = 0;
  /**
   * IPv6: the first header of the fragmentable part, and the offset in a fragment of the byte that announces
   * it.
   */
  #next = 0;
  #nextOctet = 0;

  /**
   * Takes a well-formed IP packet. `limit`: bytes of the longest fragment, IP header included. `id`: identification
   * of IPv6 fragments; those of IPv4 carry the packet's own. DF stays in the fragments of a datagram that came in
   * fragments, and is cleared otherwise. False: it cannot be split so small.
   */
  begin(frame: Frame, limit: number, id: number): boolean {
    this.#frame = frame;
    this.#number = 0;
    this.#version = ipv4.version(frame, frame.start);
    this.#id = id;
    this.#header =
      this.#version === 4 ? ipv4.headerLength(frame, frame.start) : this.#unfragmentable(frame) - frame.start;
    this.#from = frame.start + this.#header;
    this.#to = frame.end;
    const headers = this.#version === 4 ? this.#header : this.#header + FRAGMENT_HEADER;
    this.#room = limit - headers;
    this.#share = this.#room & ~7;
    this.#inSame = this.#share > 0 && this.#fitsAsItCame(headers);
    return this.#share > 0;
  }

  /**
   * Reports whether the packet can leave in the fragments that it came in, with `headers` bytes of headers each (Linux 6.1, ip_do_fragment and ip6_fragment: the fast path).
   */
  #fitsAsItCame(headers: number): boolean {
    const room = this.#room;
    const { laterFragments: later, laterHeaders } = this.#frame;
    if (later.length === 0 || headers > laterHeaders) return false;
    let first = this.#to - this.#from;
    for (let i = 0; i < later.length; i++) {
      const data = later[i]!;
      if (data > room || ((data & 7) !== 0 && i < later.length - 1)) return false;
      first -= data;
    }
    return first > 0 && first <= room && (first & 7) === 0;
  }

  /** Returns the bytes of data in the next fragment. */
  #nextShare(): number {
    if (!this.#inSame) return this.#to - this.#from <= this.#room ? this.#room : this.#share;
    const { laterFragments: later } = this.#frame;
    if (this.#number > 0) return later[this.#number - 1]!;
    return later.reduce((rest, data) => rest - data, this.#to - this.#from);
  }

  /** Writes the next fragment into `piece`; false when there is none left. */
  next(piece: Frame): boolean {
    if (this.#from >= this.#to) return false;
    const data = Math.min(this.#nextShare(), this.#to - this.#from);
    this.#number++;
    const more = this.#from + data < this.#to;
    if (this.#version === 4) this.#write4(piece, data, more);
    else this.#write6(piece, data, more);
    this.#from += data;
    return true;
  }

  #write4(piece: Frame, data: number, more: boolean): void {
    const frame = this.#frame;
    const offset = this.#from - frame.start - this.#header;
    this.#compose(piece, this.#header, data);
    if (offset > 0) blankUncopied(piece, piece.start, this.#header);
    const was = ipv4.fragment(frame, frame.start);
    const kept = frame.keepsDontFragment ? DONT_FRAGMENT : 0;
    const flags = kept | (more ? MORE_FRAGMENTS : was & MORE_FRAGMENTS);
    ipv4.setTotalLength(piece, piece.start, piece.length);
    ipv4.setFragment(piece, piece.start, flags | ((was & FRAGMENT_OFFSET) + offset / 8));
    if (this.#header > IPV4_HEADER) ipv4.recompute(piece, piece.start);
  }

  #write6(piece: Frame, data: number, more: boolean): void {
    const offset = this.#from - this.#frame.start - this.#header;
    this.#compose(piece, this.#header + FRAGMENT_HEADER, data);
    const at = piece.start + this.#header;
    piece.view.setUint8(piece.start + this.#nextOctet, FRAGMENT);
    ipv6.setPayloadLength(piece, piece.start, piece.length - IPV6_HEADER);
    ipv6.writeFragment(piece, at, this.#next, offset, more, this.#id);
  }

  /** Copies the packet's headers, reserves `headers` bytes for them, and copies the data of one fragment. */
  #compose(piece: Frame, headers: number, data: number): void {
    const { bytes, start } = this.#frame;
    piece.start = HEADROOM;
    piece.end = HEADROOM + headers + data;
    piece.at = this.#frame.at;
    piece.bytes.set(bytes.subarray(start, start + this.#header), HEADROOM);
    piece.bytes.set(bytes.subarray(this.#from, this.#from + data), HEADROOM + headers);
  }

  /**
   * Returns the offset of the fragmentable part: behind hop-by-hop and destination options and routing headers, and before destination
   * options that follow a routing header (Linux 6.1, ip6_find_1stfragopt).
   */
  #unfragmentable(frame: Frame): number {
    let at = frame.start + IPV6_HEADER;
    let protocol = ipv6.nextHeader(frame, frame.start);
    let isRouted = false;
    while (
      protocol === HOP_BY_HOP ||
      protocol === ROUTING ||
      (protocol === DESTINATION_OPTIONS && !isRouted)
    ) {
      const length = extensionLength(frame, at, protocol, frame.end);
      if (length < 0) break;
      isRouted ||= protocol === ROUTING;
      protocol = ipv6.extensionNext(frame, at);
      at += length;
    }
    this.#next = protocol;
    this.#nextOctet = nextHeaderOctet(frame, frame.start, at) - frame.start;
    return at;
  }
}

/** Overwrites options that only the first fragment has with no-operations; the header keeps its length. */
function blankUncopied(frame: Frame, at: number, headerLength: number): void {
  const end = at + headerLength;
  let option = at + IPV4_HEADER;
  while (option < end) {
    const type = frame.bytes[option]!;
    if (type === END_OF_OPTIONS) return;
    if (type === NO_OPERATION) {
      option++;
      continue;
    }
    const length = option + 1 < end ? frame.bytes[option + 1]! : 0;
    if (length < 2 || option + length > end) return;
    if ((type & COPIED) === 0) frame.bytes.fill(NO_OPERATION, option, option + length);
    option += length;
  }
}

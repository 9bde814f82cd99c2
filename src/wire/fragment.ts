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

/** IPv4 options of one octet (RFC 791). */
const END_OF_OPTIONS = 0;
const NO_OPERATION = 1;
/** The flag of options that every fragment carries (RFC 791 section 3.1). */
const COPIED = 0x80;

/** One packet at a time: `begin`, then `next` until it says false. The packet must not change in between. */
export class Splitter {
  #frame!: Frame;
  #version = 4;
  /** Octets of headers in front of the fragmentable part. */
  #header = 0;
  /** Where the next fragment's data lies in the frame, and where all of it ends. */
  #from = 0;
  #to = 0;
  /** Octets of data a fragment carries, a multiple of 8; all but the last. */
  #share = 0;
  /** Octets of data that the next fragment, the first one, carries besides. */
  #lead = 0;
  #id = 0;
  /** IPv6: the first header of the fragmentable part, and the offset in a fragment of the octet that announces it. */
  #next = 0;
  #nextOctet = 0;

  /**
   * Takes a well-formed IP packet. `limit`: octets of the longest fragment, IP header included. `id`: identification
   * of IPv6 fragments; those of IPv4 carry the packet's own. DF is cleared. `lead`: octets, a multiple of 8, that the
   * first fragment is longer than `limit` allows. False: it cannot be split so small.
   */
  begin(frame: Frame, limit: number, id: number, lead = 0): boolean {
    this.#frame = frame;
    this.#lead = lead;
    this.#version = ipv4.version(frame, frame.start);
    this.#id = id;
    this.#header =
      this.#version === 4 ? ipv4.headerLength(frame, frame.start) : this.#unfragmentable(frame) - frame.start;
    this.#from = frame.start + this.#header;
    this.#to = frame.end;
    const headers = this.#version === 4 ? this.#header : this.#header + FRAGMENT_HEADER;
    this.#share = (limit - headers) & ~7;
    return this.#share > 0;
  }

  /** Writes the next fragment into `piece`; false when there is none left. */
  next(piece: Frame): boolean {
    if (this.#from >= this.#to) return false;
    const data = Math.min(this.#share + this.#lead, this.#to - this.#from);
    this.#lead = 0;
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
    const was = ipv4.fragment(frame, frame.start) & ~DONT_FRAGMENT;
    const flags = more ? MORE_FRAGMENTS : was & MORE_FRAGMENTS;
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

  /** The packet's first headers, room for `headers` octets of them, and the data of one fragment. */
  #compose(piece: Frame, headers: number, data: number): void {
    const { bytes, start } = this.#frame;
    piece.start = HEADROOM;
    piece.end = HEADROOM + headers + data;
    piece.at = this.#frame.at;
    piece.bytes.set(bytes.subarray(start, start + this.#header), HEADROOM);
    piece.bytes.set(bytes.subarray(this.#from, this.#from + data), HEADROOM + headers);
  }

  /** Offset of the fragmentable part: behind hop-by-hop options, and behind a routing header with what is before it. */
  #unfragmentable(frame: Frame): number {
    let at = frame.start + IPV6_HEADER;
    let protocol = ipv6.nextHeader(frame, frame.start);
    let end = at;
    this.#next = protocol;
    while (protocol === HOP_BY_HOP || protocol === DESTINATION_OPTIONS || protocol === ROUTING) {
      const length = extensionLength(frame, at, protocol, frame.end);
      if (length < 0) break;
      const following = ipv6.extensionNext(frame, at);
      at += length;
      if (protocol !== DESTINATION_OPTIONS) {
        end = at;
        this.#next = following;
      }
      protocol = following;
    }
    this.#nextOctet = nextHeaderOctet(frame, frame.start, end) - frame.start;
    return end;
  }
}

/** Overwrites options that only the first fragment carries with no-operations; the header keeps its length. */
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

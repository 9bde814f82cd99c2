/** A datagram whose fragments are being collected: which fragments it takes, and the datagram that they make up. */
import { CE, ECN_MASK, NOT_ECT } from '../../wire/ecn.ts';
import { type Frame, HEADROOM } from '../../wire/frame.ts';
import { DONT_FRAGMENT, ipv4 } from '../../wire/ipv4.ts';
import { FRAGMENT_HEADER, IPV6_HEADER, ipv6, nextHeaderOctet } from '../../wire/ipv6.ts';
import type { Packet } from '../../wire/packet.ts';

/** The longest IPv4 packet and the longest payload of IPv6, bytes. */
const MAX_DATAGRAM_BYTES = 0xffff;
/** Fragments of one datagram; more than that only come from an attacker. */
const MAX_PIECES = 1024;
/** Estimated bytes of a datagram's and of a fragment's bookkeeping. */
const DATAGRAM_COST_BYTES = 512;
const PIECE_COST_BYTES = 128;

/** Bytes [from, to) of the datagram's fragmentable part. */
interface Span {
  readonly from: number;
  to: number;
}

/** One fragment's data. */
interface Piece {
  readonly from: number;
  readonly octets: Uint8Array;
  /** Bytes of the headers in front of it. */
  readonly headers: number;
}

/** What becomes of a fragment. duplicate: it contains nothing new. refused: it is dropped. invalid: its datagram is, too. */
export type Insertion = 'taken' | 'duplicate' | 'refused' | 'invalid';

export class WaitingDatagram {
  readonly key: string;
  /** ms. */
  readonly expires: number;
  /** Estimated bytes of memory. */
  cost = DATAGRAM_COST_BYTES;
  readonly #version: 4 | 6;
  readonly #id: number;
  /** In order, without overlaps. */
  readonly #pieces: Piece[] = [];
  /** Spans of fragments that came one behind the other; a fragment within one of them is a duplicate. In order. */
  readonly #runs: Span[] = [];
  /** Bytes of data received. */
  #received = 0;
  /** The furthest end of a fragment. */
  #furthest = 0;
  /** Bytes of data in all; -1 until the last fragment came. */
  #length = -1;
  /** The first fragment's headers; IPv6: with the fragment header, which only `#headerLength` leaves out. */
  #headers: Uint8Array | undefined;
  #headerLength = 0;
  /**
   * IPv6: offset in the headers of the byte that announces the fragment header, and the protocol after it.
   */
  #nextOctet = 0;
  #protocol = 0;
  /** Bytes of the longest fragment and of the longest with DF, IP header included. */
  #longest = 0;
  #longestWhole = 0;
  /** One bit per congestion code point of the fragments (RFC 3168 section 5.3). */
  #congestion = 0;

  constructor(version: 4 | 6, id: number, key: string, expires: number) {
    this.#version = version;
    this.#id = id;
    this.key = key;
    this.expires = expires;
  }

  /** Returns another datagram with the same fragments; their bytes, which never change, are shared. */
  copy(): WaitingDatagram {
    const copy = new WaitingDatagram(this.#version, this.#id, this.key, this.expires);
    copy.cost = this.cost;
    copy.#pieces.push(...this.#pieces);
    copy.#runs.push(...this.#runs.map((run) => ({ ...run })));
    copy.#received = this.#received;
    copy.#furthest = this.#furthest;
    copy.#length = this.#length;
    copy.#headers = this.#headers;
    copy.#headerLength = this.#headerLength;
    copy.#nextOctet = this.#nextOctet;
    copy.#protocol = this.#protocol;
    copy.#longest = this.#longest;
    copy.#longestWhole = this.#longestWhole;
    copy.#congestion = this.#congestion;
    return copy;
  }

  /** Returns the fragments that wait. */
  get size(): number {
    return this.#pieces.length;
  }

  get hasFirst(): boolean {
    return this.#headers !== undefined;
  }

  get isComplete(): boolean {
    return this.hasFirst && this.#received === this.#length;
  }

  /** Reports whether the whole datagram would be longer than any packet. */
  get isTooLong(): boolean {
    return this.#headerLength + this.#length > MAX_DATAGRAM_BYTES + (this.#version === 6 ? IPV6_HEADER : 0);
  }

  /** Takes a fragment's data, as Linux 6.1 does (ip_frag_queue, nf_ct_frag6_queue, inet_frag_queue_insert). */
  insert(packet: Packet): Insertion {
    const data = packet.fragmentHeader === 0 ? packet.transport : packet.fragmentHeader + FRAGMENT_HEADER;
    const from = packet.fragmentOffset;
    let to = from + packet.end - data;
    // An IPv4 fragment that others follow is cut to a multiple of 8; IPv6 refuses it (RFC 8200 section 4.5).
    if (packet.moreFragments && this.#version === 4) to &= ~7;
    if (packet.moreFragments && (to & 7) !== 0) return 'invalid';
    if (to <= from || to > MAX_DATAGRAM_BYTES || !this.#mayEnd(to, packet.moreFragments))
      return this.#version === 4 ? 'invalid' : 'refused';
    const place = this.#enterRun(from, to);
    if (place !== 'taken') return place;
    if (this.#pieces.length >= MAX_PIECES) return 'invalid';

    const { bytes } = packet.frame;
    const headers = data - packet.network;
    const piece = { from, octets: bytes.slice(data, data + to - from), headers };
    this.#pieces.splice(placeOf(this.#pieces, from), 0, piece);
    this.#received += to - from;
    const length = headers + to - from;
    this.#longest = Math.max(this.#longest, length);
    if (packet.dontFragment) this.#longestWhole = Math.max(this.#longestWhole, length);
    this.#congestion |= 1 << (packet.tos & ECN_MASK);
    this.cost += to - from + PIECE_COST_BYTES;
    if (from === 0) this.#takeHeaders(packet);
    return 'taken';
  }

  /** Reports whether a fragment may end at `to`, and remembers the datagram's end. */
  #mayEnd(to: number, moreFragments: boolean): boolean {
    if (moreFragments) {
      if (this.#length >= 0 && to > this.#length) return false;
      this.#furthest = Math.max(this.#furthest, to);
      return true;
    }
    if (to < this.#furthest || (this.#length >= 0 && to !== this.#length)) return false;
    this.#furthest = to;
    this.#length = to;
    return true;
  }

  /** Enters the fragment into the runs: at the end it lengthens the last one, elsewhere it begins a new run. */
  #enterRun(from: number, to: number): Insertion {
    const runs = this.#runs;
    const last = runs.at(-1);
    if (last !== undefined && to > last.to) {
      // What is overlapped is the last fragment, or one that came before it.
      if (from < last.to) return 'invalid';
      if (from === last.to) last.to = to;
      else runs.push({ from, to });
      return 'taken';
    }
    const place = placeOf(runs, from);
    const before = runs[place - 1];
    if (before !== undefined && before.to > from) return before.to >= to ? 'duplicate' : 'invalid';
    const after = runs[place];
    if (after !== undefined && after.from < to)
      return after.from === from && after.to >= to ? 'duplicate' : 'invalid';
    runs.splice(place, 0, { from, to });
    return 'taken';
  }

  #takeHeaders({ version, frame, network, transport, fragmentHeader }: Packet): void {
    if (version === 4) {
      this.#headers = frame.bytes.slice(network, transport);
      this.#headerLength = this.#headers.length;
    } else {
      this.#headers = frame.bytes.slice(network, fragmentHeader + FRAGMENT_HEADER);
      this.#headerLength = fragmentHeader - network;
      this.#nextOctet = nextHeaderOctet(frame, network, fragmentHeader) - network;
      this.#protocol = ipv6.extensionNext(frame, fragmentHeader);
    }
    this.cost += this.#headers.length;
  }

  /** Writes the first fragment into the frame. */
  writeFirst(frame: Frame, now: number): void {
    const data = HEADROOM + this.#headers!.length;
    frame.load(this.#headers!, now);
    frame.bytes.set(this.#pieces[0]!.octets, data);
    frame.end = data + this.#pieces[0]!.octets.length;
  }

  /**
   * Writes the whole datagram into the frame, with what makes it leave in fragments again. `inSame`: in the same ones,
   * where they fit. False: some fragments allow congestion marks and some do not (RFC 3168 section 5.3).
   */
  writeWhole(frame: Frame, now: number, inSame: boolean): boolean {
    const data = HEADROOM + this.#headerLength;
    frame.start = HEADROOM;
    frame.end = data + this.#length;
    frame.at = now;
    frame.bytes.set(this.#headers!, HEADROOM);
    for (const { from, octets } of this.#pieces) frame.bytes.set(octets, data + from);
    const marked = (this.#congestion & (1 << CE)) !== 0;
    if ((this.#congestion & (1 << NOT_ECT)) !== 0 && this.#congestion !== 1 << NOT_ECT) return false;
    // Linux 6.1 (ip_frag_reasm): DF counts where no fragment without it was longer.
    const keepsDf = this.#version === 4 && this.#longestWhole === this.#longest;
    if (this.#version === 4) {
      const dontFragment = keepsDf ? DONT_FRAGMENT : 0;
      ipv4.setTotalLength(frame, HEADROOM, frame.length);
      ipv4.setFragment(frame, HEADROOM, dontFragment);
      if (marked) ipv4.setTos(frame, HEADROOM, ipv4.tos(frame, HEADROOM) | CE);
    } else {
      ipv6.setPayloadLength(frame, HEADROOM, frame.length - IPV6_HEADER);
      frame.bytes[HEADROOM + this.#nextOctet] = this.#protocol;
      if (marked) ipv6.setTrafficClass(frame, HEADROOM, ipv6.trafficClass(frame, HEADROOM) | CE);
    }
    const later = this.#pieces.slice(1);
    const lengths = inSame ? later.map(({ octets }) => octets.length) : [];
    frame.setFragments(
      this.#longest,
      this.#version === 6 ? this.#id : 0,
      lengths,
      later.reduce((least, { headers }) => Math.min(least, headers), MAX_DATAGRAM_BYTES),
      keepsDf,
    );
    return true;
  }
}

/** Returns the index of the first span that begins at `from` or behind it. */
function placeOf(spans: readonly { readonly from: number }[], from: number): number {
  let low = 0;
  let high = spans.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (spans[middle]!.from < from) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Fragments wait here until their datagram is whole (RFC 791 section 3.2, RFC 8200 section 4.5). */
import type { DropReason } from '../../model/verdict.ts';
import { Frame, HEADROOM } from '../../wire/frame.ts';
import { DONT_FRAGMENT, ipv4 } from '../../wire/ipv4.ts';
import { FRAGMENT_HEADER, IPV6_HEADER, ipv6, nextHeaderOctet } from '../../wire/ipv6.ts';
import type { Packet } from '../../wire/packet.ts';

/** How long the rest of a datagram may take to come, ms: Linux's ipfrag_time, and RFC 8200 section 4.5. */
export const TIMEOUT4 = 30_000;
export const TIMEOUT6 = 60_000;
/** Octets that waiting fragments take at most, what is kept about them included: Linux's ipfrag_high_thresh. */
export const LIMIT = 4 * 1024 * 1024;

/** The longest IPv4 packet and the longest payload of IPv6, octets. */
const MAX_LENGTH = 0xffff;
/** Fragments of one datagram; more than that only comes from somebody who means harm. */
const MAX_PIECES = 1024;
/** Estimated octets of a datagram's and of a fragment's bookkeeping. */
const DATAGRAM_COST = 512;
const PIECE_COST = 128;

/* Explicit congestion notification: the last two bits of the TOS octet (RFC 3168 section 5). */
const ECN = 0x03;
const NOT_ECT = 0x00;
const CE = 0x03;

/** One fragment's data: octets [from, to) of the datagram's fragmentable part. */
interface Piece {
  readonly from: number;
  readonly to: number;
  readonly octets: Uint8Array;
}

/** A datagram that is not whole yet. */
interface Waiting {
  readonly key: string;
  readonly expires: number;
  readonly id: number;
  /** In order, without overlaps. */
  readonly pieces: Piece[];
  /** Octets of data that are there. */
  received: number;
  /** Octets of data in all; -1 until the last fragment came. */
  length: number;
  /** The first fragment's headers; IPv6: with the fragment header, that only `headerLength` leaves out. */
  headers: Uint8Array | undefined;
  headerLength: number;
  /** IPv6: where in the headers the fragment header is announced, and what follows it. */
  nextOctet: number;
  protocol: number;
  /** Octets of the longest fragment, IP header included. */
  longest: number;
  /** True when all fragments so far have DF. */
  dontFragment: boolean;
  /** A bit for each of the four congestion codes that fragments carry (RFC 3168 section 5.3). */
  congestion: number;
  cost: number;
}

export type FragmentDrop = Extract<DropReason, 'fragment-incomplete' | 'fragment-invalid'>;

/**
 * Puts datagrams together. Overlapping fragments are an attack: they take their whole datagram with them (RFC 5722;
 * Linux does so for IPv4 as well). When memory runs out, the oldest datagram goes.
 */
export class Reassembler {
  readonly #limit: number;
  /** By source, destination, identification (and protocol in IPv4); oldest first. */
  readonly #waiting4 = new Map<string, Waiting>();
  readonly #waiting6 = new Map<string, Waiting>();
  readonly #whole = new Frame();
  #octets = 0;
  /** Fragments that were given up since `expire` last said. */
  #lost = 0;

  /** `limit`: octets. */
  constructor(limit = LIMIT) {
    this.#limit = limit;
  }

  /** Another one with what waits here; the fragments' octets, which never change, are shared. */
  copy(): Reassembler {
    const copy = new Reassembler(this.#limit);
    for (const [from, to] of [
      [this.#waiting4, copy.#waiting4],
      [this.#waiting6, copy.#waiting6],
    ] as const)
      for (const [key, waiting] of from) to.set(key, { ...waiting, pieces: [...waiting.pieces] });
    copy.#octets = this.#octets;
    return copy;
  }

  /** Octets that waiting fragments take, estimated. */
  get octets(): number {
    return this.#octets;
  }

  /** Datagrams that wait for more fragments. */
  get size(): number {
    return this.#waiting4.size + this.#waiting6.size;
  }

  /**
   * Takes a fragment: a packet with `moreFragments`, a `fragmentOffset` or a `fragmentHeader`. `now`: ms.
   * A frame: the whole datagram, reused, to be decoded anew; its `fragmentSize` makes it leave in fragments again.
   */
  add(packet: Packet, now: number): Frame | 'waiting' | FragmentDrop {
    // One that is all of its datagram has nothing to do with others of its identification (RFC 6946).
    const isAtomic = !packet.moreFragments && packet.fragmentOffset === 0;
    const waiting = isAtomic ? this.#begin(packet, '', now) : this.#find(packet, now);
    const problem = this.#insert(waiting, packet);
    if (problem === 'fragment-invalid') this.#drop(waiting);
    if (problem !== undefined) return problem;
    this.#makeRoom(waiting);
    if (waiting.headers === undefined || waiting.received !== waiting.length) return 'waiting';
    this.#forget(waiting);
    if (waiting.headerLength + waiting.length > MAX_LENGTH + (packet.version === 6 ? IPV6_HEADER : 0))
      return 'fragment-invalid';
    return this.#assemble(waiting, packet.version as 4 | 6, now) ? this.#whole : 'fragment-invalid';
  }

  /**
   * Gives up on datagrams whose time is over; returns how many fragments were lost since the last call. `abandoned`
   * gets, in a reused frame, the first fragment of each that has one: its sender is to be told (RFC 792, RFC 4443).
   */
  expire(now: number, abandoned?: (first: Frame) => void): number {
    for (const map of [this.#waiting4, this.#waiting6])
      for (const waiting of map.values()) {
        if (waiting.expires > now) break;
        this.#drop(waiting);
        if (waiting.headers !== undefined && abandoned !== undefined) abandoned(this.#first(waiting, now));
      }
    const lost = this.#lost;
    this.#lost = 0;
    return lost;
  }

  #first(waiting: Waiting, now: number): Frame {
    const frame = this.#whole;
    const data = HEADROOM + waiting.headers!.length;
    frame.load(waiting.headers!, now);
    frame.bytes.set(waiting.pieces[0]!.octets, data);
    frame.end = data + waiting.pieces[0]!.octets.length;
    return frame;
  }

  #find(packet: Packet, now: number): Waiting {
    const { frame, network, src, dst } = packet;
    const v4 = packet.version === 4;
    const id = v4 ? ipv4.id(frame, network) : ipv6.fragmentId(frame, packet.fragmentHeader);
    const key = v4
      ? `${src[3]} ${dst[3]} ${id} ${packet.protocol}`
      : `${src.join(' ')} ${dst.join(' ')} ${id}`;
    const map = v4 ? this.#waiting4 : this.#waiting6;
    const known = map.get(key);
    if (known !== undefined && known.expires > now) return known;
    if (known !== undefined) this.#drop(known);
    const fresh = this.#begin(packet, key, now);
    map.set(key, fresh);
    return fresh;
  }

  #begin({ frame, version, network, fragmentHeader }: Packet, key: string, now: number): Waiting {
    const v4 = version === 4;
    this.#octets += DATAGRAM_COST;
    return {
      key,
      expires: now + (v4 ? TIMEOUT4 : TIMEOUT6),
      id: v4 ? ipv4.id(frame, network) : ipv6.fragmentId(frame, fragmentHeader),
      pieces: [],
      received: 0,
      length: -1,
      headers: undefined,
      headerLength: 0,
      nextOctet: 0,
      protocol: 0,
      longest: 0,
      dontFragment: v4,
      congestion: 0,
      cost: DATAGRAM_COST,
    };
  }

  /** undefined: the fragment was taken. 'waiting': it says nothing new. */
  #insert(waiting: Waiting, packet: Packet): 'waiting' | 'fragment-invalid' | undefined {
    const data = packet.fragmentHeader === 0 ? packet.transport : packet.fragmentHeader + FRAGMENT_HEADER;
    const from = packet.fragmentOffset;
    const to = from + packet.end - data;
    if (to <= from || to > MAX_LENGTH) return 'fragment-invalid';
    if (packet.moreFragments) {
      if (((to - from) & 7) !== 0 || (waiting.length >= 0 && to > waiting.length)) return 'fragment-invalid';
    } else if (waiting.length >= 0 ? to !== waiting.length : (waiting.pieces.at(-1)?.to ?? 0) > to)
      return 'fragment-invalid';
    const place = placeOf(waiting.pieces, from);
    const before = waiting.pieces[place - 1];
    if (before !== undefined && before.to > from) return before.to >= to ? 'waiting' : 'fragment-invalid';
    const after = waiting.pieces[place];
    if (after !== undefined && after.from < to)
      return after.from === from && after.to >= to ? 'waiting' : 'fragment-invalid';
    if (waiting.pieces.length >= MAX_PIECES) return 'fragment-invalid';

    const { bytes } = packet.frame;
    waiting.pieces.splice(place, 0, { from, to, octets: bytes.slice(data, packet.end) });
    waiting.received += to - from;
    if (!packet.moreFragments) waiting.length = to;
    waiting.longest = Math.max(waiting.longest, packet.end - packet.network);
    waiting.dontFragment &&= packet.dontFragment;
    waiting.congestion |= 1 << (packet.tos & ECN);
    let cost = to - from + PIECE_COST;
    if (from === 0) {
      takeHeaders(waiting, packet);
      cost += waiting.headers!.length;
    }
    waiting.cost += cost;
    this.#octets += cost;
    return undefined;
  }

  /** Writes the whole datagram into the reused frame; false: some of it saw congestion and some cannot have. */
  #assemble(waiting: Waiting, version: 4 | 6, now: number): boolean {
    const frame = this.#whole;
    const data = HEADROOM + waiting.headerLength;
    frame.start = HEADROOM;
    frame.end = data + waiting.length;
    frame.at = now;
    frame.bytes.set(waiting.headers!, HEADROOM);
    for (const { from, octets } of waiting.pieces) frame.bytes.set(octets, data + from);
    const marked = (waiting.congestion & (1 << CE)) !== 0;
    if (marked && (waiting.congestion & (1 << NOT_ECT)) !== 0) return false;
    if (version === 4) {
      ipv4.setTotalLength(frame, HEADROOM, frame.length);
      ipv4.setFragment(frame, HEADROOM, waiting.dontFragment ? DONT_FRAGMENT : 0);
      if (marked) ipv4.setTos(frame, HEADROOM, ipv4.tos(frame, HEADROOM) | CE);
    } else {
      ipv6.setPayloadLength(frame, HEADROOM, frame.length - IPV6_HEADER);
      frame.bytes[HEADROOM + waiting.nextOctet] = waiting.protocol;
      if (marked) ipv6.setTrafficClass(frame, HEADROOM, ipv6.trafficClass(frame, HEADROOM) | CE);
    }
    frame.fragmentSize = waiting.longest;
    frame.fragmentId = version === 6 ? waiting.id : 0;
    return true;
  }

  /** Drops the oldest datagrams, but never `keep`, while there is more than the limit allows. */
  #makeRoom(keep: Waiting): void {
    while (this.#octets > this.#limit) {
      const oldest = this.#oldest(keep);
      if (oldest === undefined) return;
      this.#drop(oldest);
    }
  }

  #oldest(keep: Waiting): Waiting | undefined {
    for (const map of [this.#waiting6, this.#waiting4])
      for (const waiting of map.values()) if (waiting !== keep) return waiting;
    return undefined;
  }

  #drop(waiting: Waiting): void {
    this.#lost += waiting.pieces.length;
    this.#forget(waiting);
  }

  #forget(waiting: Waiting): void {
    this.#octets -= waiting.cost;
    if (!this.#waiting4.delete(waiting.key)) this.#waiting6.delete(waiting.key);
  }
}

/** Index of the first piece that begins at `from` or behind it. */
function placeOf(pieces: readonly Piece[], from: number): number {
  let low = 0;
  let high = pieces.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (pieces[middle]!.from < from) low = middle + 1;
    else high = middle;
  }
  return low;
}

function takeHeaders(waiting: Waiting, packet: Packet): void {
  const { frame, network, fragmentHeader } = packet;
  if (packet.version === 4) {
    waiting.headers = frame.bytes.slice(network, packet.transport);
    waiting.headerLength = waiting.headers.length;
    return;
  }
  waiting.headers = frame.bytes.slice(network, fragmentHeader + FRAGMENT_HEADER);
  waiting.headerLength = fragmentHeader - network;
  waiting.nextOctet = nextHeaderOctet(frame, network, fragmentHeader) - network;
  waiting.protocol = ipv6.extensionNext(frame, fragmentHeader);
}

/** Collects fragments until their datagram is complete (RFC 791 section 3.2, RFC 8200 section 4.5). */
import type { DropReason } from '../../model/verdict.ts';
import { Frame } from '../../wire/frame.ts';
import { ICMP6 } from '../../wire/icmp6.ts';
import { ipv4 } from '../../wire/ipv4.ts';
import { ipv6 } from '../../wire/ipv6.ts';
import type { Packet } from '../../wire/packet.ts';
import { TCP } from '../../wire/tcp.ts';
import { UDP } from '../../wire/udp.ts';
import { WaitingDatagram } from './waiting-datagram.ts';

/** Time for the rest of a datagram, ms: Linux's ipfrag_time, and RFC 8200 section 4.5. */
export const TIMEOUT4_MS = 30_000;
export const TIMEOUT6_MS = 60_000;
/** Maximum bytes of waiting fragments, bookkeeping included: Linux's ipfrag_high_thresh. */
export const MAX_WAITING_BYTES = 4 * 1024 * 1024;

export type FragmentDrop = Extract<DropReason, 'fragment-incomplete' | 'fragment-invalid'>;

/**
 * Reassembles datagrams. An overlapping fragment is an attack, and discards its whole datagram (RFC 5722;
 * Linux does so for IPv4 as well). When memory is exhausted, the oldest datagram is discarded.
 */
export class Reassembler {
  readonly #limit: number;
  /** By source, destination, identification (and protocol in IPv4); oldest first. */
  readonly #waiting4 = new Map<string, WaitingDatagram>();
  readonly #waiting6 = new Map<string, WaitingDatagram>();
  readonly #whole = new Frame();
  #octets = 0;
  /** Fragments discarded since the last `expire`. */
  #lost = 0;

  /** `limit`: bytes. */
  constructor(limit = MAX_WAITING_BYTES) {
    this.#limit = limit;
  }

  /** Returns a copy with the waiting fragments; their bytes, which never change, are shared. */
  copy(): Reassembler {
    const copy = new Reassembler(this.#limit);
    for (const [from, to] of [
      [this.#waiting4, copy.#waiting4],
      [this.#waiting6, copy.#waiting6],
    ] as const)
      for (const [key, waiting] of from) to.set(key, waiting.copy());
    copy.#octets = this.#octets;
    return copy;
  }

  /** Returns the estimated bytes of waiting fragments. */
  get octets(): number {
    return this.#octets;
  }

  /** Returns the number of incomplete datagrams. */
  get size(): number {
    return this.#waiting4.size + this.#waiting6.size;
  }

  /**
   * Adds a fragment: a packet with `moreFragments`, a `fragmentOffset` or a `fragmentHeader`. `now`: ms.
   * Returns a reused frame with the complete datagram, to be decoded. It is sent in fragments again; `inSame`: with the
   * same boundaries.
   */
  add(packet: Packet, now: number, inSame = true): Frame | 'waiting' | FragmentDrop {
    if (packet.version === 6 && isFirstCut(packet)) return 'fragment-invalid';
    const waiting = this.#find(packet, now);
    const cost = waiting.cost;
    const inserted = waiting.insert(packet);
    this.#octets += waiting.cost - cost;
    if (inserted === 'invalid') {
      this.#drop(waiting);
      return 'fragment-invalid';
    }
    if (inserted === 'refused') return 'fragment-invalid';
    if (inserted === 'duplicate') return 'waiting';
    this.#makeRoom(waiting);
    if (!waiting.isComplete) return 'waiting';
    this.#forget(waiting);
    if (waiting.isTooLong || !waiting.writeWhole(this.#whole, now, inSame)) return 'fragment-invalid';
    return this.#whole;
  }

  /**
   * Discards datagrams whose timeout has passed; returns the number of fragments lost since the last call.
   * `abandoned` is called with a reused frame, the first fragment of each datagram that has one, to send an
   * error to its sender (RFC 792, RFC 4443).
   */
  expire(now: number, abandoned?: (first: Frame) => void): number {
    for (const map of [this.#waiting4, this.#waiting6])
      for (const waiting of map.values()) {
        if (waiting.expires > now) break;
        this.#drop(waiting);
        if (!waiting.hasFirst || abandoned === undefined) continue;
        waiting.writeFirst(this.#whole, now);
        abandoned(this.#whole);
      }
    const lost = this.#lost;
    this.#lost = 0;
    return lost;
  }

  #find(packet: Packet, now: number): WaitingDatagram {
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

  #begin({ frame, version, network, fragmentHeader }: Packet, key: string, now: number): WaitingDatagram {
    const v4 = version === 4;
    const id = v4 ? ipv4.id(frame, network) : ipv6.fragmentId(frame, fragmentHeader);
    const waiting = new WaitingDatagram(v4 ? 4 : 6, id, key, now + (v4 ? TIMEOUT4_MS : TIMEOUT6_MS));
    this.#octets += waiting.cost;
    return waiting;
  }

  /** Drops the oldest datagrams, but never `keep`, while more bytes wait than the limit allows. */
  #makeRoom(keep: WaitingDatagram): void {
    while (this.#octets > this.#limit) {
      const oldest = this.#oldest(keep);
      if (oldest === undefined) return;
      this.#drop(oldest);
    }
  }

  #oldest(keep: WaitingDatagram): WaitingDatagram | undefined {
    for (const map of [this.#waiting6, this.#waiting4])
      for (const waiting of map.values()) if (waiting !== keep) return waiting;
    return undefined;
  }

  #drop(waiting: WaitingDatagram): void {
    this.#lost += waiting.size;
    this.#forget(waiting);
  }

  #forget(waiting: WaitingDatagram): void {
    this.#octets -= waiting.cost;
    if (!this.#waiting4.delete(waiting.key)) this.#waiting6.delete(waiting.key);
  }
}

/** Reports whether a first fragment of IPv6 ends within its transport header (RFC 8200 section 4.5). */
function isFirstCut({ fragmentOffset, protocol, hasHeader, transport, end }: Packet): boolean {
  if (fragmentOffset !== 0) return false;
  // Linux 6.1, ipv6frag_thdr_truncated: of all other protocols one byte is enough.
  return protocol === TCP || protocol === UDP || protocol === ICMP6 ? !hasHeader : end <= transport;
}

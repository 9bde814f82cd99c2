/**
 * Datagrams between servers that join and directors, all numbers big-endian. Both kinds end with a tag (wire/message-tag.ts).
 *
 * Heartbeat, from a server to the group: magic (4), kind 1 (1), state (1), run (8), counter (4), length of the name (1), name,
 * number of answers (1), each: 8 bytes; number of places (1), each:
 *   form (1): protocol in bits 0 and 1 (tcp, udp, sctp, mark); bit 2: the service is of IPv6; bit 3: the destination is;
 *   address (4 or 16) and port (2) of the service, or its mark (4);
 *   address (4 or 16) and port (2) of the destination; weight (2).
 *
 * Challenge, from a director to one server: magic (4), kind 2 (1), run (8) of the server, 8 bytes that the server returns among
 * the answers of its next heartbeat.
 */
import { isName } from '../model/entity-name.ts';
import type { Protocol, ServiceAddress } from '../model/service.ts';
import { type Address, addressFromV4, formatAddress, isV4, parseAddress } from '../wire/address.ts';
import { derived, TAG_BYTES, tagOf } from '../wire/message-tag.ts';
import { type Announcement, type Place, SERVER_STATES } from './member.ts';

/** "LVJ" and the version. */
const MAGIC = 0x4c564a01;
const KINDS = { heartbeat: 1, challenge: 2 } as const;
export type Kind = keyof typeof KINDS;
const HEAD_BYTES = 5;

export const RUN_BYTES = 8;
export const ANSWER_BYTES = 8;
/** Answers in a heartbeat: directors that ask for one at the same time. */
export const MAX_ANSWERS = 8;
/** Places in a heartbeat. */
export const MAX_PLACES = 200;
export const MAX_WEIGHT = 0xffff;
/** Bytes of the longest datagram: 200 places of IPv6, and everything else. */
export const MAX_BYTES = 8192;

const PROTOCOLS: readonly Protocol[] = ['tcp', 'udp', 'sctp'];
const MARK = 3;
const SERVICE_IPV6 = 4;
const DESTINATION_IPV6 = 8;
const FORM_MASK = 0xf;

const KEY_BYTES = 32;

export interface Heartbeat extends Announcement {
  /** Counts the heartbeats of this run, from 1. */
  readonly counter: number;
  /** What directors have asked this run to return, as hexadecimal digits. */
  readonly answers: readonly string[];
}

/** A director's question to one run of a server. */
export interface Challenge {
  readonly run: string;
  readonly question: string;
}

/** Derives the key of datagrams from a secret of the key file. */
export const joinKey = (secret: Uint8Array): Uint8Array => derived(secret, 'lvs-join message', KEY_BYTES);

export function encodeHeartbeat(beat: Heartbeat, key: Uint8Array): Buffer {
  const into = new Writer('heartbeat');
  into.u8(SERVER_STATES.indexOf(beat.state));
  into.hex(beat.run);
  into.u32(beat.counter);
  into.u8(beat.node.length);
  into.bytes.push(...Buffer.from(beat.node, 'latin1'));
  into.u8(beat.answers.length);
  beat.answers.forEach((answer) => {
    into.hex(answer);
  });
  into.u8(beat.places.length);
  beat.places.forEach((place) => {
    into.place(place);
  });
  return into.tagged(key);
}

export function encodeChallenge({ run, question }: Challenge, key: Uint8Array): Buffer {
  const into = new Writer('challenge');
  into.hex(run);
  into.hex(question);
  return into.tagged(key);
}

/** Returns what a datagram claims to be, without a look at its tag; undefined: it is none of these, or its length is wrong. */
export function kindOf(datagram: Buffer): Kind | undefined {
  const { length } = datagram;
  if (length < HEAD_BYTES + RUN_BYTES + TAG_BYTES || length > MAX_BYTES) return undefined;
  if (datagram.readUInt32BE(0) !== MAGIC) return undefined;
  if (datagram[4] === KINDS.heartbeat) return 'heartbeat';
  return datagram[4] === KINDS.challenge ? 'challenge' : undefined;
}

/** Returns the content of a heartbeat whose tag was verified; undefined: it is malformed. */
export function decodeHeartbeat(datagram: Buffer): Heartbeat | undefined {
  return decoded(datagram, (from) => {
    const state = SERVER_STATES[from.u8(SERVER_STATES.length - 1)]!;
    const run = from.hex(RUN_BYTES);
    const counter = from.u32();
    const node = from.take(from.u8()).toString('latin1');
    if (!isName(node)) throw new RangeError('name');
    const answers = from.list(from.u8(MAX_ANSWERS), () => from.hex(ANSWER_BYTES));
    const places = from.list(from.u8(MAX_PLACES), () => from.place());
    return { node, run, state, counter, answers, places };
  });
}

/** Returns the content of a challenge whose tag was verified; undefined: it is malformed. */
export function decodeChallenge(datagram: Buffer): Challenge | undefined {
  return decoded(datagram, (from) => ({ run: from.hex(RUN_BYTES), question: from.hex(ANSWER_BYTES) }));
}

function decoded<T>(datagram: Buffer, read: (from: Reader) => T): T | undefined {
  const from = new Reader(datagram.subarray(HEAD_BYTES, datagram.length - TAG_BYTES));
  try {
    const value = read(from);
    return from.isAtEnd ? value : undefined;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

class Writer {
  readonly bytes: number[] = [];

  constructor(kind: Kind) {
    this.u32(MAGIC);
    this.u8(KINDS[kind]);
  }

  u8(value: number): void {
    this.bytes.push(value & 0xff);
  }

  u16(value: number): void {
    this.bytes.push((value >>> 8) & 0xff, value & 0xff);
  }

  u32(value: number): void {
    this.u16(value >>> 16);
    this.u16(value);
  }

  hex(text: string): void {
    this.bytes.push(...Buffer.from(text, 'hex'));
  }

  place({ service, destination, weight }: Place): void {
    const to = parseAddress(destination.address)!;
    const of = 'mark' in service ? undefined : parseAddress(service.address)!;
    const isIpv6 = 'mark' in service ? service.family === 6 : !isV4(of!);
    const kind = 'mark' in service ? MARK : PROTOCOLS.indexOf(service.protocol);
    this.u8(kind | (isIpv6 ? SERVICE_IPV6 : 0) | (isV4(to) ? 0 : DESTINATION_IPV6));
    if ('mark' in service) this.u32(service.mark);
    else {
      this.#address(of!);
      this.u16(service.port);
    }
    this.#address(to);
    this.u16(destination.port);
    this.u16(weight);
  }

  tagged(key: Uint8Array): Buffer {
    const body = Uint8Array.from(this.bytes);
    return Buffer.concat([body, tagOf(key, body)]);
  }

  #address(address: Address): void {
    for (const word of isV4(address) ? address.subarray(3) : address) this.u32(word);
  }
}

/** Throws RangeError at the end, and for invalid values. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  u8(max = 0xff): number {
    const value = this.#bytes.readUInt8(this.#at++);
    if (value > max) throw new RangeError(`${value} at ${this.#at}`);
    return value;
  }

  u16(): number {
    this.#at += 2;
    return this.#bytes.readUInt16BE(this.#at - 2);
  }

  u32(): number {
    this.#at += 4;
    return this.#bytes.readUInt32BE(this.#at - 4);
  }

  take(length: number): Buffer {
    this.#at += length;
    if (this.#at > this.#bytes.length) throw new RangeError('incomplete');
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  hex(length: number): string {
    return this.take(length).toString('hex');
  }

  list<T>(count: number, each: () => T): T[] {
    return Array.from({ length: count }, each);
  }

  place(): Place {
    const form = this.u8(FORM_MASK);
    const family = form & SERVICE_IPV6 ? 6 : 4;
    const kind = form & 3;
    const service: ServiceAddress =
      kind === MARK
        ? { mark: this.u32(), family }
        : { protocol: PROTOCOLS[kind]!, address: this.#address(family), port: this.u16() };
    const address = this.#address(form & DESTINATION_IPV6 ? 6 : 4);
    return { service, destination: { address, port: this.u16() }, weight: this.u16() };
  }

  #address(family: 4 | 6): string {
    if (family === 4) return formatAddress(addressFromV4(this.u32()));
    const address: Address = Uint32Array.of(this.u32(), this.u32(), this.u32(), this.u32());
    // It would be shown, and compared, as an address of IPv4.
    if (isV4(address)) throw new RangeError('IPv4-mapped address');
    return formatAddress(address);
  }
}

/**
 * Authenticates messages of version 1 by an option of their last entry, which ends the message. Receivers without a key,
 * kernels among them, skip it: its type has the bit for optional ones.
 *
 * Data of the option, fields in network byte order: sender (8 bytes, random at each start), time in ms since 1970 (8),
 * sequence number of the sender (8), first 16 bytes of HMAC-SHA256 over the message up to here.
 */
import { isTagged, TAG_BYTES, tagOf } from '../wire/message-tag.ts';
import { OPTION_HEADER_BYTES, OPTIONAL } from './message-v1.ts';

const TYPE = OPTIONAL | 9;
const SENDER_BYTES = 8;
const DATA_BYTES = SENDER_BYTES + 8 + 8 + TAG_BYTES;
/** Bytes of the option. */
export const SIGNATURE_BYTES = OPTION_HEADER_BYTES + DATA_BYTES;

/** Difference of two directors' clocks that is accepted, ms (as fudge of RFC 8945). Older messages are replays. */
const MAX_AGE_MS = 300_000;
/** Messages that were sent up to this time before the start are accepted, ms. */
const START_TOLERANCE_MS = 5000;
/** Senders that are remembered: a director is a new one after each start. */
const MAX_SENDERS = 64;
const SHIFT = 2 ** 32;

/** Returns ms since 1970. */
type WallClock = () => number;

function writeNumber(into: Buffer, value: number, at: number): number {
  into.writeUInt32BE(Math.floor(value / SHIFT), at);
  return into.writeUInt32BE(value % SHIFT, at + 4);
}
const readNumber = (from: Buffer, at: number): number =>
  from.readUInt32BE(at) * SHIFT + from.readUInt32BE(at + 4);

/** Signs the messages of one sender. */
export class Signer {
  #key: Uint8Array;
  readonly #sender: Uint8Array;
  readonly #clock: WallClock;
  #sequence = 0;

  /** `sender`: 8 random bytes. */
  constructor(key: Uint8Array, sender: Uint8Array, clock: WallClock) {
    this.#key = key;
    this.#sender = sender;
    this.#clock = clock;
  }

  /** Signs with this key from now on. Sequence numbers go on. */
  setKey(key: Uint8Array): void {
    this.#key = key;
  }

  /** Writes the option to the end of a message that is complete otherwise, lengths included. */
  sign(message: Buffer): void {
    let at = message.length - SIGNATURE_BYTES;
    message[at++] = TYPE;
    message[at++] = DATA_BYTES;
    message.set(this.#sender, at);
    at = writeNumber(message, this.#clock(), at + SENDER_BYTES);
    at = writeNumber(message, ++this.#sequence, at);
    message.set(tagOf(this.#key, message.subarray(0, at)), at);
  }
}

export type Verdict = 'authentic' | 'unauthenticated' | 'stale' | 'replayed';

/** Verifies messages of any sender. It forgets no message that is not stale. */
export class Verifier {
  readonly #clock: WallClock;
  readonly #start: number;
  #keys: readonly Uint8Array[] = [];
  /** By the sender; the one that sent last is the last. */
  readonly #senders = new Map<string, { readonly sequences: SequenceWindow; time: number }>();

  constructor(clock: WallClock) {
    this.#clock = clock;
    this.#start = clock();
  }

  /** Accepts messages with one of these keys from now on. */
  setKeys(keys: readonly Uint8Array[]): void {
    this.#keys = keys;
  }

  verify(message: Buffer): Verdict {
    const at = message.length - SIGNATURE_BYTES;
    if (at < 0 || message[at] !== TYPE || message[at + 1] !== DATA_BYTES) return 'unauthenticated';
    if (!isTagged(this.#keys, message)) return 'unauthenticated';
    const senderAt = at + OPTION_HEADER_BYTES;
    const timeAt = senderAt + SENDER_BYTES;
    return this.#accept(
      message.toString('latin1', senderAt, timeAt),
      readNumber(message, timeAt),
      readNumber(message, timeAt + 8),
    );
  }

  #accept(name: string, time: number, sequence: number): Verdict {
    const now = this.#clock();
    if (Math.abs(time - now) > MAX_AGE_MS || time < this.#start - START_TOLERANCE_MS) return 'stale';
    let sender = this.#senders.get(name);
    if (sender === undefined) {
      if (this.#senders.size === MAX_SENDERS && !this.#forgetOne(now)) return 'stale';
      sender = { sequences: new SequenceWindow(), time };
    }
    if (!sender.sequences.accept(sequence)) return 'replayed';
    sender.time = Math.max(sender.time, time);
    this.#senders.delete(name);
    this.#senders.set(name, sender);
    return 'authentic';
  }

  /** Forgets the sender that has been silent for longest, if all of its messages are stale. */
  #forgetOne(now: number): boolean {
    const [name, { time }] = this.#senders.entries().next().value!;
    return now - time > MAX_AGE_MS && this.#senders.delete(name);
  }
}

const WINDOW = 1024;
const WORD_BITS = 32;

/** The sequence numbers that were seen: the highest, and those before it, as far as they may still be on their path. */
class SequenceWindow {
  #highest = 0;
  readonly #seen = new Uint32Array(WINDOW / WORD_BITS);

  /** Reports whether the number is new. */
  accept(sequence: number): boolean {
    if (sequence <= this.#highest - WINDOW) return false;
    if (sequence > this.#highest) {
      const skipped = Math.min(sequence - this.#highest, WINDOW);
      for (let i = 0; i < skipped; i++) this.#set(sequence - i, false);
      this.#highest = sequence;
    } else if (this.#has(sequence)) return false;
    this.#set(sequence, true);
    return true;
  }

  #has(sequence: number): boolean {
    const bit = sequence % WINDOW;
    return ((this.#seen[bit >>> 5]! >>> (bit & 31)) & 1) === 1;
  }

  #set(sequence: number, isSeen: boolean): void {
    const bit = sequence % WINDOW;
    const word = bit >>> 5;
    const mask = 1 << (bit & 31);
    this.#seen[word] = isSeen ? this.#seen[word]! | mask : this.#seen[word]! & ~mask;
  }
}

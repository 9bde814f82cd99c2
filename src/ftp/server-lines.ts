/** Reads the replies of a server (RFC 959 section 4.2), and finds its address in those that announce data connections. */
import { type Announcement, ofNumbers, ofPort } from './announcements.ts';
import type { ControlState } from './control-state.ts';

/** Where in a line the server is. */
const PHASE = {
  /** In the code and the character after it. */
  CODE: 0,
  /** In a line of no interest. */
  REST: 1,
  /** Before the first number of the reply 227 (RFC 1123 section 4.1.2.6: parentheses may be missing). */
  BEFORE_NUMBERS: 2,
  NUMBERS: 3,
  /** As NUMBERS, and what was read is not the server's own address, or more than that. */
  OTHER_NUMBERS: 4,
  /** Before the parenthesis of the reply 229. */
  BEFORE_PORT: 5,
  PORT: 6,
} as const;

const LINE_FEED = 0x0a;
const SPACE = 0x20;
const OPENING = 0x28;
const CLOSING = 0x29;
const COMMA = 0x2c;
const HYPHEN = 0x2d;
/** Code and separator. */
const CODE_BYTES = 4;

const PASSIVE = 227;
const EXTENDED_PASSIVE = 229;
/** Security data exchange is complete (RFC 2228, RFC 4217): TLS begins. */
const SECURED = 234;

/** What a server says of its address, and what the client is to read in its place, as far as the port's comma. */
export interface ReplyAddresses {
  /** Empty: addresses stay as they are. */
  readonly own: Uint8Array;
  readonly virtual: Uint8Array;
}

/** The bytes of a segment, bytes[from, to). `position`: that of the first one. */
export interface Octets {
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly to: number;
  readonly position: number;
}

/**
 * Reads what the server sends next, and notes in `state` which bytes change. Adds data connections to `announced`. Returns how
 * many bytes were read: fewer if more changes would have to be remembered than `state` can.
 */
export function readReplies(
  state: ControlState,
  { bytes, from, to, position }: Octets,
  addresses: ReplyAddresses,
  announced: (Announcement | undefined)[],
): number {
  const reader = new ReplyReader(state, addresses, position, announced);
  for (let i = from; i < to; i++) {
    if (state.isOpaque) break;
    if (state.phase === PHASE.REST && bytes[i] !== LINE_FEED) {
      const end = bytes.indexOf(LINE_FEED, i);
      if (end < 0 || end >= to) break;
      i = end;
    }
    if (!reader.read(bytes[i]!, position + i - from)) return i - from;
  }
  return to - from;
}

/**
 * The server sends nothing after `position`: what was withheld is not its address. Returns false if there is no room for
 * remembering that.
 */
export function endReplies(state: ControlState, position: number): boolean {
  if (state.matched === 0) return true;
  if (!state.makeRoom()) return false;
  state.addChange((position - state.matched) | 0, state.matched, state.matched, true);
  state.matched = 0;
  return true;
}

/** What follows is not the beginning of a line. */
export function skipReply(state: ControlState): void {
  state.phase = PHASE.REST;
  state.matched = 0;
  state.numberLength = 0;
}

class ReplyReader {
  readonly #state: ControlState;
  readonly #addresses: ReplyAddresses;
  /** Where the segment begins: what was withheld before is not part of it. */
  readonly #begin: number;
  readonly #announced: (Announcement | undefined)[];

  constructor(
    state: ControlState,
    addresses: ReplyAddresses,
    begin: number,
    announced: (Announcement | undefined)[],
  ) {
    this.#state = state;
    this.#addresses = addresses;
    this.#begin = begin;
    this.#announced = announced;
  }

  /** Reads a byte. Returns false, and reads nothing, if there is no room for a change. */
  read(byte: number, at: number): boolean {
    if (this.#needsRoom(byte, at) && !this.#state.makeRoom()) return false;
    this.#advance(byte, at);
    return true;
  }

  #advance(byte: number, at: number): void {
    const state = this.#state;
    if (byte === LINE_FEED) {
      this.#endNumbers(at);
      state.phase = PHASE.CODE;
      state.numberLength = 0;
      return;
    }
    switch (state.phase) {
      case PHASE.CODE:
        this.#collect(byte);
        if (state.numberLength === CODE_BYTES) this.#endCode();
        return;
      case PHASE.BEFORE_NUMBERS:
        if (!isDigit(byte)) return;
        state.phase = this.#addresses.own.length > 0 ? PHASE.NUMBERS : PHASE.OTHER_NUMBERS;
        this.#readNumber(byte, at);
        return;
      case PHASE.NUMBERS:
      case PHASE.OTHER_NUMBERS:
        if (isDigit(byte) || byte === COMMA) this.#readNumber(byte, at);
        else this.#endNumbers(at);
        return;
      case PHASE.BEFORE_PORT:
        if (byte === OPENING) state.phase = PHASE.PORT;
        return;
      case PHASE.PORT:
        if (byte !== CLOSING) {
          this.#collect(byte);
          return;
        }
        this.#announced.push(ofPort(this.#text()));
        state.phase = PHASE.REST;
    }
  }

  /** Reports whether a change has to be remembered after this byte. */
  #needsRoom(byte: number, at: number): boolean {
    const { phase, matched } = this.#state;
    const { own } = this.#addresses;
    if (phase !== PHASE.NUMBERS) return false;
    return byte === own[matched] ? matched + 1 === own.length : this.#withheld(at) > 0;
  }

  /** Returns how many bytes of the server's address before `at` were withheld before this segment. */
  #withheld(at: number): number {
    return (this.#begin - (at - this.#state.matched)) | 0;
  }

  /** What the server has sent before `at` is not its address: what was withheld goes to the client after all. */
  #endAddress(at: number): void {
    const state = this.#state;
    const withheld = this.#withheld(at);
    if (state.matched > 0 && withheld > 0)
      state.addChange((at - state.matched) | 0, withheld, withheld, true);
    state.matched = 0;
  }

  #readNumber(byte: number, at: number): void {
    const state = this.#state;
    const { own, virtual } = this.#addresses;
    this.#collect(byte);
    if (state.phase !== PHASE.NUMBERS) return;
    if (byte !== own[state.matched]) {
      state.phase = PHASE.OTHER_NUMBERS;
      this.#endAddress(at);
      return;
    }
    state.matched++;
    if (state.matched < own.length) return;
    state.matched = 0;
    state.phase = PHASE.OTHER_NUMBERS;
    state.addChange((at + 1 - own.length) | 0, own.length, virtual.length, false);
  }

  #endNumbers(at: number): void {
    const state = this.#state;
    if (state.phase !== PHASE.NUMBERS && state.phase !== PHASE.OTHER_NUMBERS) return;
    state.phase = PHASE.REST;
    this.#announced.push(ofNumbers('server', this.#text()));
    this.#endAddress(at);
  }

  #endCode(): void {
    const state = this.#state;
    const code = Number(this.#text().slice(0, -1));
    const separator = state.number[CODE_BYTES - 1];
    state.numberLength = 0;
    state.phase = PHASE.REST;
    if (state.multiLine !== 0) {
      if (code === state.multiLine && separator === SPACE) state.multiLine = 0;
      return;
    }
    if (separator === HYPHEN && code > 0) state.multiLine = code;
    if (separator !== SPACE) return;
    if (code === SECURED) state.setOpaque();
    if ((code !== PASSIVE && code !== EXTENDED_PASSIVE) || state.awaited === 0) return;
    state.awaited--;
    state.phase = code === PASSIVE ? PHASE.BEFORE_NUMBERS : PHASE.BEFORE_PORT;
  }

  #collect(byte: number): void {
    const state = this.#state;
    if (state.numberLength < state.number.length) state.number[state.numberLength++] = byte;
    // A longer run is no address.
    else state.number[0] = HYPHEN;
  }

  #text(): string {
    const { number, numberLength } = this.#state;
    return String.fromCharCode(...number.subarray(0, numberLength));
  }
}

const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;

/**
 * Collects entries in one message per port, and sends it when it is full or old enough (ip_vs_sync.c, Linux 6.1).
 */
import { SIGNATURE_BYTES, type Signer } from './authentication.ts';
import type { SyncEntry } from './entry.ts';
import * as v0 from './message-v0.ts';
import * as v1 from './message-v1.ts';

/** A message that is not full is sent when it is `flush` ms old, looked at once in `check` ms. */
const KERNEL_TIMES = { flush: 2000, check: 1000 } as const;
/** With a key: a connection that was established less than 0.4 s ago may be lost with its director. */
const SIGNED_TIMES = { flush: 200, check: 100 } as const;
/** Full messages that are sent without waiting for the next turn. */
const WAKE_MESSAGES = 8;
/** The header counts entries in one byte. Linux 6.1 counts on from 0, so that its backups take the rest for nothing. */
const MAX_ENTRIES = 255;

export interface OutboxOptions {
  readonly syncId: number;
  /** Bytes of the longest message. */
  readonly maxBytes: number;
  /** Returns the most messages that wait (sync_qlen_max). */
  readonly maxWaiting: () => number;
  /** Returns what signs messages of version 1; undefined: they are not signed. */
  readonly signer: () => Signer | undefined;
  /** Sends a message; false: not now, and not sent. */
  readonly send: (message: Uint8Array) => boolean;
  /** Called for a message that is dropped, because too many wait. */
  readonly dropped: () => void;
}

/** The messages of one port. Times are ms of one clock. */
export class Outbox {
  readonly #options: OutboxOptions;
  #message: Buffer | undefined;
  #length = 0;
  /** Offset of the last entry. */
  #lastAt = 0;
  #entries = 0;
  #version = 1;
  /** When the first entry of the message was added. */
  #since = 0;
  #nextCheck: number;
  readonly #waiting: Uint8Array[] = [];

  constructor(options: OutboxOptions, now: number) {
    this.#options = options;
    this.#nextCheck = now + this.#times.check;
  }

  get #times(): typeof KERNEL_TIMES | typeof SIGNED_TIMES {
    return this.#options.signer() === undefined ? KERNEL_TIMES : SIGNED_TIMES;
  }

  /** Adds an entry in version 0 or 1; of version 0, IPv4 only. */
  add(entry: SyncEntry, version: number, now: number): void {
    const codec = version === 0 ? v0 : v1;
    const bytes = codec.entryBytes(entry);
    const { maxBytes, signer } = this.#options;
    const room = codec === v1 && signer() !== undefined ? SIGNATURE_BYTES : 0;
    let at = codec === v1 ? this.#length + v1.paddingAfter(this.#length) : this.#length;
    if (
      this.#message !== undefined &&
      (version !== this.#version || at + bytes + room > maxBytes || this.#entries === MAX_ENTRIES)
    )
      this.#finish();
    if (this.#message === undefined) {
      at = codec.HEADER_BYTES;
      this.#message = Buffer.alloc(Math.max(maxBytes, at + bytes) + SIGNATURE_BYTES);
      this.#version = version;
      this.#since = now;
    }
    codec.writeEntry(this.#message, at, entry);
    this.#lastAt = at;
    this.#length = at + bytes;
    this.#entries++;
    if (this.#waiting.length >= WAKE_MESSAGES) this.#send(now);
  }

  /** Sends what is due. To be called at least every 100 ms. */
  advance(now: number): void {
    if (now >= this.#nextCheck) {
      const { check, flush } = this.#times;
      this.#nextCheck = now + check;
      if (this.#message !== undefined && now - this.#since >= flush) this.#finish();
    }
    if (this.#waiting.length > 0) this.#send(now);
  }

  /** Sends everything. Returns the number of messages that were not taken. */
  flush(now: number): number {
    if (this.#message !== undefined) this.#finish();
    this.#send(now);
    return this.#waiting.length;
  }

  #finish(): void {
    const signer = this.#version === 0 ? undefined : this.#options.signer();
    const length = this.#length + (signer ? SIGNATURE_BYTES : 0);
    const message = this.#message!.subarray(0, length);
    if (signer) v1.lengthenEntry(message, this.#lastAt, SIGNATURE_BYTES);
    const codec = this.#version === 0 ? v0 : v1;
    codec.writeHeader(message, this.#options.syncId, length, this.#entries);
    signer?.sign(message);
    this.#message = undefined;
    this.#length = 0;
    this.#entries = 0;
    if (this.#waiting.length < this.#options.maxWaiting()) this.#waiting.push(message);
    else this.#options.dropped();
  }

  #send(now: number): void {
    let sent = 0;
    while (sent < this.#waiting.length && this.#options.send(this.#waiting[sent]!)) sent++;
    this.#waiting.splice(0, sent);
    if (sent > 0) this.#nextCheck = now + this.#times.check;
  }
}

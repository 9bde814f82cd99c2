/** One end of a TCP connection, as a model that knows nothing of what is between the ends: bytes, numbers, no time. */

const MODULUS = 2 ** 32;

/** A segment of TCP. Numbers are those of its header. */
export interface TcpSegment {
  readonly sequence: number;
  readonly acknowledgement: number;
  readonly bytes: Uint8Array;
  /** Blocks that were received out of order. */
  readonly sack: readonly (readonly [from: number, to: number])[];
  readonly isLast: boolean;
}

export class TcpEnd {
  /** What the application has written. */
  written = Buffer.alloc(0);
  isClosed = false;
  /** Offsets in `written`. */
  acknowledged = 0;
  sent = 0;
  /** What has arrived, by offset; the application reads the first `received` bytes. */
  readonly arrived: (number | undefined)[] = [];
  received = 0;
  isPeerClosed = false;
  #peerLength: number | undefined;
  readonly #initial: number;
  readonly #peerInitial: number;

  /** Both initial sequence numbers: of the first byte. */
  constructor(initial: number, peerInitial: number) {
    this.#initial = initial;
    this.#peerInitial = peerInitial;
  }

  write(text: string): void {
    this.written = Buffer.concat([this.written, Buffer.from(text, 'latin1')]);
  }

  /** Bytes that were written, and FIN. */
  get length(): number {
    return this.written.length + Number(this.isClosed);
  }

  get isDone(): boolean {
    return this.isClosed && this.acknowledged === this.length && this.isPeerClosed;
  }

  /** Returns the segment with `length` bytes from offset `from`. */
  segment(from: number, length: number): TcpSegment {
    const to = Math.min(from + length, this.length);
    this.sent = Math.max(this.sent, to);
    return this.#at(from, this.written.subarray(from, to), to > this.written.length);
  }

  /** Returns an acknowledgement without data. */
  acknowledgement(): TcpSegment {
    return this.#at(this.sent, new Uint8Array(), false);
  }

  /** Takes a segment; returns whether it has to be acknowledged. Throws an Error if it cannot be of this connection. */
  take({ sequence, acknowledgement, bytes, sack, isLast }: TcpSegment, isStrict: boolean): boolean {
    const acknowledged = distance(acknowledgement, this.#initial);
    if (acknowledged > this.sent) throw new Error(`acknowledges ${acknowledged} of ${this.sent} bytes`);
    this.acknowledged = Math.max(this.acknowledged, acknowledged);
    for (const [from, to] of sack)
      if (
        !(
          distance(from, this.#initial) < distance(to, this.#initial) &&
          distance(to, this.#initial) <= this.sent
        )
      )
        throw new Error('block of bytes that were never sent');
    const at = distance(sequence, this.#peerInitial);
    for (const [i, byte] of bytes.entries()) {
      const known = this.arrived[at + i];
      if (isStrict && known !== undefined && known !== byte)
        throw new Error(`byte ${at + i} arrives changed`);
      if (at + i >= 0 && known === undefined) this.arrived[at + i] = byte;
    }
    if (isLast) this.#peerLength = at + bytes.length;
    while (this.arrived[this.received] !== undefined) this.received++;
    if (this.received === this.#peerLength) this.isPeerClosed = true;
    return bytes.length > 0 || isLast || at < this.received;
  }

  /** Returns what the application has read. */
  get read(): string {
    return Buffer.from(this.arrived.slice(0, this.received) as number[]).toString('latin1');
  }

  #at(from: number, bytes: Uint8Array, isLast: boolean): TcpSegment {
    return {
      sequence: (this.#initial + from) % MODULUS,
      acknowledgement: (this.#peerInitial + this.received + Number(this.isPeerClosed)) % MODULUS,
      bytes,
      sack: this.#blocks(),
      isLast,
    };
  }

  /** The first block behind a gap. */
  #blocks(): [number, number][] {
    const from = this.arrived.findIndex((byte, i) => i > this.received && byte !== undefined);
    if (from < 0) return [];
    let to = from;
    while (this.arrived[to] !== undefined) to++;
    return [[(this.#peerInitial + from) % MODULUS, (this.#peerInitial + to) % MODULUS]];
  }
}

/** Returns how far `a` is behind `b`, modulo 2^32. */
const distance = (a: number, b: number): number => (a - b) | 0;

/** Splits a stream of bytes into lines of limited length. */
import { protocolError } from './protocol.ts';

/** Maximum number of parts of a line; more are joined, so that a line received byte by byte takes no more memory. */
const MAX_PARTS = 1000;

/** Collects data until a line is complete. */
export class LineReader {
  readonly #limit: number;
  #parts: Buffer[] = [];
  #length = 0;

  /** `limit`: maximum length of a line without its end, bytes. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Adds data, and returns the lines that it completes. Throws LvsError PROTOCOL if a line is too long. */
  push(octets: Buffer): string[] {
    const lines: string[] = [];
    let from = 0;
    for (let end = octets.indexOf(10); end >= 0; end = octets.indexOf(10, from)) {
      this.#keep(octets.subarray(from, end));
      lines.push(Buffer.concat(this.#parts, this.#length).toString('utf8'));
      this.#parts = [];
      this.#length = 0;
      from = end + 1;
    }
    if (from < octets.length) this.#keep(octets.subarray(from));
    return lines;
  }

  /** True if a line is incomplete. */
  get isMidLine(): boolean {
    return this.#length > 0;
  }

  #keep(part: Buffer): void {
    this.#length += part.length;
    if (this.#length > this.#limit)
      throw protocolError(`line too long: expected at most ${this.#limit} bytes`);
    this.#parts.push(part);
    if (this.#parts.length > MAX_PARTS) this.#parts = [Buffer.concat(this.#parts, this.#length)];
  }
}

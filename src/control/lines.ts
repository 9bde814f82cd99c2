/** Lines out of a stream of octets, none of them longer than allowed. */
import { protocolError } from './protocol.ts';

/** Pieces of a line that are kept apart; more are put together, so that a line of single octets costs no more. */
const MOST_PIECES = 1000;

/** Collects octets until a line is whole. */
export class LineReader {
  readonly #limit: number;
  #parts: Buffer[] = [];
  #length = 0;

  /** `limit`: octets of a line without its end. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The lines that are whole now. Throws an LvsError when one is too long. */
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

  /** True when a line has begun and not ended. */
  get isMidLine(): boolean {
    return this.#length > 0;
  }

  #keep(part: Buffer): void {
    this.#length += part.length;
    if (this.#length > this.#limit) throw protocolError(`a line of more than ${this.#limit} octets`);
    this.#parts.push(part);
    if (this.#parts.length > MOST_PIECES) this.#parts = [Buffer.concat(this.#parts, this.#length)];
  }
}

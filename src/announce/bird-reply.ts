/**
 * Reads replies of BIRD's control socket (BIRD 2, doc/reply_codes, nest/cli.c): lines with a code of four digits, then a
 * space in the last line of a reply, or a minus. Lines that begin with a space have the code of the line before, and those
 * that begin with a plus are not part of a reply.
 */
import { AnnounceError } from './announce-error.ts';

/** Maximum length of one reply, characters. A BIRD with 10,000 protocols sends 1 MB. */
const MAX_REPLY_CHARACTERS = 4 * 1024 * 1024;
/** Codes from here on are errors: 8 of the running daemon, 9 of the syntax. */
const FIRST_ERROR = 8000;
const CODED = /^(\d{4})([ -])(.*)$/;

export interface ReplyLine {
  readonly code: number;
  readonly text: string;
}

export type Reply = readonly ReplyLine[];

export class ReplyReader {
  #rest = '';
  #lines: ReplyLine[] = [];
  #characters = 0;

  /** Takes text that was received, and returns the replies that it completes. Throws AnnounceError for other text. */
  push(text: string): Reply[] {
    this.#characters += text.length;
    if (this.#characters > MAX_REPLY_CHARACTERS)
      throw new AnnounceError('invalid-answer', `a reply is longer than ${MAX_REPLY_CHARACTERS} characters`);
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop()!;
    const replies: Reply[] = [];
    for (const line of lines) {
      if (!this.#take(line)) continue;
      replies.push(this.#lines);
      this.#lines = [];
      this.#characters = this.#rest.length;
    }
    return replies;
  }

  /** Takes a line, and reports whether it is the last one of a reply. */
  #take(line: string): boolean {
    if (line.startsWith('+')) return false;
    const before = this.#lines.at(-1);
    if (line.startsWith(' ') && before) {
      this.#lines.push({ code: before.code, text: line.slice(1) });
      return false;
    }
    const [, code, end, text] = CODED.exec(line) ?? [];
    if (code === undefined)
      throw new AnnounceError('invalid-answer', `unexpected line ${JSON.stringify(line.slice(0, 60))}`);
    this.#lines.push({ code: Number(code), text: text! });
    return end === ' ';
  }
}

/** Returns the text of a reply's error; undefined: it is none. */
export function errorOf(reply: Reply): string | undefined {
  const error = reply.find(({ code }) => code >= FIRST_ERROR);
  return error && (error.text || `error ${error.code}`);
}

/** A protocol of BIRD. */
export interface BirdProtocol {
  readonly name: string;
  /** Such as Static or BGP. */
  readonly kind: string;
  readonly isUp: boolean;
  /** For BGP: Established or another state. */
  readonly info: string;
}

/** A line of `show protocols`. */
const PROTOCOL_CODE = 1002;

/** Returns the protocols of the reply to `show protocols`. */
export function protocolsOf(reply: Reply): BirdProtocol[] {
  return reply.flatMap(({ code, text }) => {
    if (code !== PROTOCOL_CODE) return [];
    // Name, protocol, table, state, since (a time, or a date and a time by configuration), information.
    const [name, kind, , state, ...rest] = text.trim().split(/\s+/);
    if (name === undefined || kind === undefined || state === undefined) return [];
    return [{ name, kind, isUp: state === 'up', info: rest.slice(1).join(' ') }];
  });
}

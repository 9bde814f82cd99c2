/** The words of a step: positions and name=value options, quoted as in a shell. */
import { type IpOptions, uint } from './octets.ts';

type Options = Readonly<Record<string, string>>;

export interface Words {
  readonly positions: readonly string[];
  readonly options: Readonly<Record<string, string>>;
}

/** Splits at blanks; single quotes, double quotes and the backslash protect, as in a POSIX shell. */
export function split(text: string): string[] {
  const words: string[] = [];
  for (const [token] of text.matchAll(/(?:[^\s"'\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+/g)) {
    words.push(
      token.replace(
        /\\(.)|'([^']*)'|"((?:[^"\\]|\\.)*)"/g,
        (_all, escaped, single, double) =>
          escaped ?? single ?? (double as string).replace(/\\(["\\$`])/g, '$1'),
      ),
    );
  }
  return words;
}

export function parseWords(text: string): Words {
  const positions: string[] = [];
  const options: Record<string, string> = {};
  for (const word of split(text)) {
    const option = /^([a-z0-9_]+)=(.*)$/s.exec(word);
    if (option) options[option[1]!] = option[2]!;
    else positions.push(word);
  }
  return { positions, options };
}

/** An integer as the recordings write it: decimal, or hexadecimal after 0x. */
export const integer = (text: string | undefined, otherwise: number): number =>
  text === undefined ? otherwise : Number(text);

/** Octets that count up, as many as a packet can have. */
const COUNTING = Buffer.from(Array.from({ length: 0x1_0000 }, (_, i) => i & 0xff));

/** The payload that a step asks for: octets in hexadecimal, text with escapes, or `len` octets that count up. */
export function payload(options: Readonly<Record<string, string>>): Buffer {
  const { hex, text, len } = options;
  if (hex !== undefined) return Buffer.from(hex, 'hex');
  if (text !== undefined) return Buffer.from(unquote(text), 'latin1');
  return Buffer.from(COUNTING.subarray(0, integer(len, 0)));
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '\\': '\\', '0': '\0' };

const unquote = (text: string): string =>
  text.replace(/\\(?:x([0-9a-f]{2})|(.))/gi, (_all, hex, letter) =>
    hex === undefined
      ? (ESCAPES[letter as string] ?? `\\${letter}`)
      : String.fromCharCode(Number.parseInt(hex as string, 16)),
  );

/** Fields of the IP header that a step sets. */
export function ipOptions(options: Options): IpOptions {
  const { ttl, tos, df, ipid } = options;
  return {
    ...(ttl === undefined ? {} : { ttl: Number(ttl) }),
    ...(tos === undefined ? {} : { tos: Number(tos) }),
    ...(df === undefined ? {} : { df: Number(df) }),
    ...(ipid === undefined ? {} : { ipid: Number(ipid) }),
  };
}

/** The TCP option of a segment with mss=. */
export const maximumSegment = (options: Options): Buffer =>
  options['mss'] === undefined ? Buffer.alloc(0) : uint(1, 2, 1, 4, 2, Number(options['mss']));

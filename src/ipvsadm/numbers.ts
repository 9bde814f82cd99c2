/** Numbers and IPv4 addresses as the C library reads them, and so as scripts that call ipvsadm write them. */

/** Returns a decimal number as strtol takes it, with blanks before it and a sign; undefined: not one, or not within the bounds. */
export function parseNumber(text: string, least: number, most: number): number | undefined {
  if (!/^[ \t\n\v\f\r]*[+-]?\d+$/.test(text)) return undefined;
  const number = Number(text);
  return number >= least && number <= most ? number + 0 : undefined;
}

/** Returns an IPv4 address as inet_aton takes it (one to four parts, octal, hexadecimal), as 32 bits; undefined: not one. */
export function parseInetAton(text: string): number | undefined {
  const literal = /^\S*/.exec(text)![0];
  const parts = literal.split('.');
  if (literal === '' || parts.length > 4) return undefined;
  let word = 0;
  for (const [i, part] of parts.entries()) {
    const number = cNumber(part);
    const octets = i < parts.length - 1 ? 1 : 5 - parts.length;
    if (number === undefined || number >= 2 ** (8 * octets)) return undefined;
    word = i < parts.length - 1 ? word + number * 2 ** (24 - 8 * i) : word + number;
  }
  return word;
}

function cNumber(text: string): number | undefined {
  if (/^0[xX][\da-fA-F]+$/.test(text)) return Number.parseInt(text, 16);
  if (/^0[0-7]*$/.test(text)) return Number.parseInt(text, 8);
  return /^[1-9]\d*$/.test(text) ? Number(text) : undefined;
}

/** Dotted text of 32 bits. */
export const dotted = (word: number): string =>
  [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255].join('.');

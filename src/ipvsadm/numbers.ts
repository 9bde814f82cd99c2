/** Parses numbers and IPv4 addresses like the C library, for scripts that call ipvsadm. */

/**
 * Parses a decimal number like strtol, with leading blanks and a sign; undefined when invalid or out of
 * bounds.
 */
export function parseNumber(text: string, least: number, most: number): number | undefined {
  if (!/^[ \t\n\v\f\r]*[+-]?\d+$/.test(text)) return undefined;
  const number = Number(text);
  return number >= least && number <= most ? number + 0 : undefined;
}

/**
 * Parses an IPv4 address like inet_aton (one to four parts, octal, hexadecimal), to 32 bits; undefined when
 * invalid.
 */
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

/** Returns the dotted text of 32 bits. */
export const dotted = (word: number): string =>
  [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255].join('.');

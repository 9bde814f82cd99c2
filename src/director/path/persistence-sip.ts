/** The persistence engine "sip": sends messages of one call to one server (RFC 3261). */
import { UDP } from '../../wire/udp.ts';

/** Bytes of the longest Call-ID (IP_VS_PEDATA_MAXLEN, ip_vs.h 6.1). */
const MAX_CALL_ID_BYTES = 255;
const CR = 0x0d;
const LF = 0x0a;
const COLON = 0x3a;
const AT = 0x40;
const SPACE = 0x20;
const TAB = 0x09;

const NAME = 'call-id';
/** RFC 3261 section 7.3.3. */
const COMPACT_NAME = 'i';

/** Bytes of a word (RFC 3261 section 25.1), as Linux 6.1 reads them: with the Latin-1 letters, without `$` and `&`. */
const WORD_OCTETS = new Set(
  [...'!"%()*+:<>?[\\]_`{}~-./\'']
    .map((sign) => sign.charCodeAt(0))
    .concat([...Array(256).keys()].filter((octet) => isLetter(octet) || (octet >= 0x30 && octet <= 0x39))),
);

/** A search found no header line. */
const NO_HEADER = -1;

/**
 * Returns the Call-ID of the message bytes[from, to), or undefined if it has none that a line end follows. The search
 * does not stop at the empty line, and takes the first valid Call-ID (Linux 6.1, ip_vs_pe_sip.c).
 */
export function callIdOf(octets: Uint8Array, from: number, to: number, protocol: number): string | undefined {
  // Over TCP the first packet has no message.
  if (protocol !== UDP) return undefined;
  let skipped = 0;
  for (;;) {
    const value = findValue(octets, from + skipped, to);
    if (value === NO_HEADER) return undefined;
    const end = callIdEnd(octets, value, to);
    if (end > value) return isUsable(octets, value, end, to) ? textOf(octets, value, end) : undefined;
    // The kernel adds offsets from the message's start: after a second invalid header it skips some of what follows.
    skipped += value - from;
  }
}

function isUsable(octets: Uint8Array, value: number, end: number, to: number): boolean {
  return end - value <= MAX_CALL_ID_BYTES && end < to && isLineEnd(octets[end]!);
}

const textOf = (octets: Uint8Array, from: number, to: number): string =>
  Buffer.from(octets.buffer, octets.byteOffset + from, to - from).toString('latin1');

/**
 * Returns the offset of the value of the first Call-ID header, or NO_HEADER. The first line is never a header. A line
 * that begins with the name but has no colon after it ends the search.
 */
function findValue(octets: Uint8Array, from: number, to: number): number {
  for (let at = from; at < to; at++) {
    if (!isLineEnd(octets[at]!)) continue;
    at = afterLineEnd(octets, at, to);
    if (at >= to) return NO_HEADER;
    if (isBlank(octets[at]!)) continue;
    const name = nameLength(octets, at, to);
    if (name === 0) continue;
    const colon = skipBlanks(octets, at + name, to);
    if (colon < 0 || colon + 1 >= to || octets[colon] !== COLON) return NO_HEADER;
    return skipBlanks(octets, colon + 1, to);
  }
  return NO_HEADER;
}

/** Returns the length of the header name Call-ID at `at`; 0: the line begins with something else. */
function nameLength(octets: Uint8Array, at: number, to: number): number {
  if (begins(octets, at, to, NAME)) return NAME.length;
  const next = at + COMPACT_NAME.length;
  return next < to && begins(octets, at, to, COMPACT_NAME) && !isLetter(octets[next]!)
    ? COMPACT_NAME.length
    : 0;
}

function begins(octets: Uint8Array, at: number, to: number, name: string): boolean {
  if (to - at < name.length) return false;
  for (let i = 0; i < name.length; i++) {
    const octet = octets[at + i]!;
    const lower = octet >= 0x41 && octet <= 0x5a ? octet | 0x20 : octet;
    if (lower !== name.charCodeAt(i)) return false;
  }
  return true;
}

/** Returns the offset behind spaces, tabs and one folded line end; -1: the line or the message ends there. */
function skipBlanks(octets: Uint8Array, from: number, to: number): number {
  const at = blanksEnd(octets, from, to);
  if (at >= to || !isLineEnd(octets[at]!)) return at;
  const line = afterLineEnd(octets, at, to);
  return line < to && isBlank(octets[line]!) ? blanksEnd(octets, line, to) : -1;
}

function blanksEnd(octets: Uint8Array, from: number, to: number): number {
  let at = from;
  while (at < to && isBlank(octets[at]!)) at++;
  return at;
}

/** Returns the end of the Call-ID at `at`, a word or two with an `@` between; `at` itself if it is invalid. */
function callIdEnd(octets: Uint8Array, at: number, to: number): number {
  const end = wordEnd(octets, at, to);
  if (end === at || end >= to || octets[end] !== AT) return end;
  const last = wordEnd(octets, end + 1, to);
  return last === end + 1 ? at : last;
}

function wordEnd(octets: Uint8Array, at: number, to: number): number {
  let end = at;
  while (end < to && WORD_OCTETS.has(octets[end]!)) end++;
  return end;
}

/** Returns the offset behind the line end at `at`; lines may end in CR, LF or both (RFC 2543). */
const afterLineEnd = (octets: Uint8Array, at: number, to: number): number =>
  octets[at] === CR && at + 1 < to && octets[at + 1] === LF ? at + 2 : at + 1;

const isLineEnd = (octet: number): boolean => octet === CR || octet === LF;
const isBlank = (octet: number): boolean => octet === SPACE || octet === TAB;

/** True for the letters of Latin-1, which are all that the kernel knows. */
function isLetter(octet: number): boolean {
  const lower = octet | 0x20;
  if (octet < 0x80) return lower >= 0x61 && lower <= 0x7a;
  return octet >= 0xc0 && octet !== 0xd7 && octet !== 0xf7;
}

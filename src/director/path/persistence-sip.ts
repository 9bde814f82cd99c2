/** The persistence engine "sip": messages of one call go to one server (RFC 3261). */
import { UDP } from '../../wire/udp.ts';

/** Octets of the longest Call-ID that is kept (IP_VS_PEDATA_MAXLEN, ip_vs.h 6.1). */
const LONGEST = 255;
const CR = 0x0d;
const LF = 0x0a;
const COLON = 0x3a;
const SPACE = 0x20;
const TAB = 0x09;

/**
 * The Call-ID (long name or the compact "i", RFC 3261 section 7.3.3) of the message octets[from, to); undefined where
 * there is none that a line end follows.
 */
export function callIdOf(octets: Uint8Array, from: number, to: number, protocol: number): string | undefined {
  // Over TCP the first packet has no message.
  if (protocol !== UDP) return undefined;
  // The first line is the request or status line, not a header.
  for (let at = nextLine(octets, from, to); at < to; at = nextLine(octets, at, to)) {
    const name = nameEnd(octets, at, to);
    if (name === 0) return undefined;
    if (name > 0 && isCallId(octets, at, name)) return valueAt(octets, afterColon(octets, name, to), to);
  }
  return undefined;
}

/** Offset after the next line end; lines may end in CR, LF or both (RFC 2543). */
function nextLine(octets: Uint8Array, from: number, to: number): number {
  let at = from;
  while (at < to && octets[at] !== CR && octets[at] !== LF) at++;
  if (at < to && octets[at] === CR && octets[at + 1] === LF) return at + 2;
  return at + 1;
}

/** Offset just past the header name of the line at `at`; 0 for the empty line that ends all headers, -1 for no header. */
function nameEnd(octets: Uint8Array, at: number, to: number): number {
  if (octets[at] === CR || octets[at] === LF) return 0;
  for (let end = at; end < to; end++) {
    const octet = octets[end]!;
    if (octet === COLON || octet === SPACE || octet === TAB) return end;
    if (octet === CR || octet === LF) return -1;
  }
  return -1;
}

function isCallId(octets: Uint8Array, from: number, to: number): boolean {
  if (to - from !== 1 && to - from !== 7) return false;
  const name = String.fromCharCode(...octets.subarray(from, to)).toLowerCase();
  return name === 'i' || name === 'call-id';
}

function afterColon(octets: Uint8Array, from: number, to: number): number {
  let at = from;
  while (at < to && (octets[at] === SPACE || octets[at] === TAB)) at++;
  if (octets[at] !== COLON) return to;
  at++;
  while (at < to && (octets[at] === SPACE || octets[at] === TAB)) at++;
  return at;
}

/** The word at `at`, which a line end must follow. */
function valueAt(octets: Uint8Array, at: number, to: number): string | undefined {
  let end = at;
  while (end < to && octets[end]! > SPACE) end++;
  if (end === at || end >= to || end - at > LONGEST) return undefined;
  if (octets[end] !== CR && octets[end] !== LF) return undefined;
  return Buffer.from(octets.buffer, octets.byteOffset + at, end - at).toString('latin1');
}

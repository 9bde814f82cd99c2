/** IPv4 options (RFC 791 section 3.1), as a router processes them before anything else. */
import type { Address } from './address.ts';
import type { Frame } from './frame.ts';
import { IPV4_HEADER, ipv4 } from './ipv4.ts';

/* Types of options. */
const END = 0;
const NO_OPERATION = 1;
const RECORD_ROUTE = 7;
const LOOSE_SOURCE_ROUTE = 131;
/** CIPSO (FIPS 188). */
const SECURITY_LABEL = 134;
const STRICT_SOURCE_ROUTE = 137;
const ROUTER_ALERT = 148;

/* Offsets from an option's first byte. */
const LENGTH = 1;
const POINTER = 2;
const ROUTE = 3;
const DOMAIN = 2;
/** The shortest CIPSO option: its domain of interpretation and an empty tag. */
const LABEL_BYTES = 8;

/** Bytes of an address; router alert has as many in all (RFC 2113). */
const WORD = 4;

/** Result of `enterOptions` for a packet that uses source routing. */
export const SOURCE_ROUTED = -1;

/**
 * Looks at the options of the header at `at`, and enters `here` where a route is recorded.
 * 0: go on. SOURCE_ROUTED. Otherwise the offset in the header of the octet that is wrong. The header checksum is not
 * corrected: Linux 6.1 quotes the header in errors as it is now, and corrects it when it sends the packet on.
 */
export function enterOptions(frame: Frame, at: number, here: Address): number {
  const { bytes, view } = frame;
  const end = at + ipv4.headerLength(frame, at);
  let option = at + IPV4_HEADER;
  while (option < end) {
    const type = bytes[option]!;
    if (type === END) {
      bytes.fill(END, option, end);
      break;
    }
    if (type === NO_OPERATION) {
      option++;
      continue;
    }
    const length = option + LENGTH < end ? bytes[option + LENGTH]! : 0;
    if (length < 2 || option + length > end) return option - at;
    if (type === LOOSE_SOURCE_ROUTE || type === STRICT_SOURCE_ROUTE) return SOURCE_ROUTED;
    if (type === ROUTER_ALERT && length < WORD) return option + LENGTH - at;
    // Linux 6.1 has no domain of interpretation unless one is configured (cipso_v4_validate).
    if (type === SECURITY_LABEL) return option + (length < LABEL_BYTES ? LENGTH : DOMAIN) - at;
    if (type === RECORD_ROUTE) {
      if (length < ROUTE) return option + LENGTH - at;
      // The pointer counts from 1; beyond the option, the route is full.
      const pointer = bytes[option + POINTER]!;
      if (pointer <= ROUTE || (pointer <= length && pointer + ROUTE > length)) return option + POINTER - at;
      if (pointer <= length) {
        view.setUint32(option + pointer - 1, here[3]!);
        bytes[option + POINTER] = pointer + WORD;
      }
    }
    option += length;
  }
  return 0;
}

/**
 * Writes into `reply`, whose options begin at `to`, what the answer from `here` to the packet at `at` says about its
 * options: the recorded route with `here` entered once more, and the security label (Linux 6.1, __ip_options_echo).
 * `labelAlone`: without the route. Call it after `enterOptions`. Returns the octets written, a multiple of 4; -1: the options forbid an answer.
 */
export function echoOptions(
  frame: Frame,
  at: number,
  here: Address,
  reply: Frame,
  to: number,
  labelAlone = false,
): number {
  const { bytes } = frame;
  const end = at + ipv4.headerLength(frame, at);
  let into = to;
  for (let option = at + IPV4_HEADER; option < end; ) {
    const type = bytes[option]!;
    if (type === END) break;
    if (type === NO_OPERATION) {
      option++;
      continue;
    }
    const length = bytes[option + LENGTH]!;
    if (length < 2 || option + length > end) break;
    if ((type === RECORD_ROUTE && !labelAlone) || type === SECURITY_LABEL) {
      reply.bytes.set(bytes.subarray(option, option + length), into);
      if (type === RECORD_ROUTE && !enterRoute(reply, into, here)) return -1;
      into += length;
    }
    option += length;
  }
  const octets = (into - to + WORD - 1) & ~(WORD - 1);
  reply.bytes.fill(END, into, to + octets);
  return octets;
}

/** Enters `here` into the route recorded at `option` if it has room; false: the room is no whole address. */
function enterRoute(reply: Frame, option: number, here: Address): boolean {
  const length = reply.bytes[option + LENGTH]!;
  const pointer = reply.bytes[option + POINTER]!;
  if (pointer > length) return true;
  if (pointer + ROUTE > length) return false;
  reply.view.setUint32(option + pointer - 1, here[3]!);
  reply.bytes[option + POINTER] = pointer + WORD;
  return true;
}

/** IPv4 options (RFC 791 section 3.1), as a router looks at them before anything else. */
import type { Address } from './address.ts';
import type { Frame } from './frame.ts';
import { IPV4_HEADER, ipv4 } from './ipv4.ts';

/* Types of options. */
const END = 0;
const NO_OPERATION = 1;
const RECORD_ROUTE = 7;
const LOOSE_SOURCE_ROUTE = 131;
const STRICT_SOURCE_ROUTE = 137;
const ROUTER_ALERT = 148;

/* Offsets from an option's first octet. */
const LENGTH = 1;
const POINTER = 2;
const ROUTE = 3;

/** Octets of an address; router alert has as many in all (RFC 2113). */
const WORD = 4;

/** What `enterOptions` returns for a packet that asks for a way of its own. */
export const SOURCE_ROUTED = -1;

/**
 * Looks at the options of the header at `at`, and enters `here` where a route is recorded.
 * 0: go on. SOURCE_ROUTED. Otherwise the offset in the header of the octet that is wrong.
 */
export function enterOptions(frame: Frame, at: number, here: Address): number {
  const { bytes, view } = frame;
  const end = at + ipv4.headerLength(frame, at);
  let isChanged = false;
  let option = at + IPV4_HEADER;
  while (option < end) {
    const type = bytes[option]!;
    if (type === END) {
      isChanged ||= bytes.subarray(option, end).some((octet) => octet !== END);
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
    if (type === RECORD_ROUTE) {
      if (length < ROUTE) return option + LENGTH - at;
      // Counted from 1; beyond the option: it is full.
      const pointer = bytes[option + POINTER]!;
      if (pointer <= ROUTE || (pointer <= length && pointer + ROUTE > length)) return option + POINTER - at;
      if (pointer <= length) {
        view.setUint32(option + pointer - 1, here[3]!);
        bytes[option + POINTER] = pointer + WORD;
        isChanged = true;
      }
    }
    option += length;
  }
  if (isChanged) ipv4.recompute(frame, at);
  return 0;
}

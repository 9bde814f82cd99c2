/** IPv4 options (RFC 791 section 3.1), as a router processes them before anything else. */
import { type Address, addressFromV4, isMulticast } from './address.ts';
import type { Frame } from './frame.ts';
import { IPV4_HEADER, ipv4 } from './ipv4.ts';

/* Types of options. */
const END = 0;
const NO_OPERATION = 1;
const RECORD_ROUTE = 7;
const TIMESTAMP = 68;
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
/** The overflow counter and the flag of a timestamp option, 4 bits each. */
const FLAGS = 3;
const TIMES = 4;

/* Flags of a timestamp option. */
const TIME_ONLY = 0;
const TIME_AND_ADDRESS = 1;
const GIVEN_ADDRESSES = 3;
const MAX_OVERFLOW = 15;

/** The shortest CIPSO option: its domain of interpretation and an empty tag. */
const LABEL_BYTES = 8;

/** Bytes of an address, and of a time; router alert has as many in all (RFC 2113). */
const WORD = 4;

/** Result of `enterOptions` for a packet that uses source routing. */
export const SOURCE_ROUTED = -1;

/** What enters itself into options. */
export interface Station {
  /** Its address towards the sender of the packet, which it enters beside times, and into the route of a packet that it refuses. */
  readonly inside: Address;
  /** The address that it enters into the route of a packet that it sends on. */
  readonly address: Address;
  /** Time since midnight UT, ms; with the highest bit set another time (RFC 791 section 3.1). */
  readonly time: number;
  /** Reports whether an address is one of the station's. */
  readonly isLocal: (address: Address) => boolean;
}

/**
 * Looks at the options of the header at `at`, and enters `here` where a route or times are recorded.
 * 0: go on. SOURCE_ROUTED. Otherwise the offset in the header of the octet that is wrong. The header checksum is not
 * corrected: Linux 6.1 quotes the header in errors as it is now, and corrects it when it sends the packet on.
 */
export function enterOptions(frame: Frame, at: number, here: Station): number {
  const { bytes } = frame;
  const end = at + ipv4.headerLength(frame, at);
  let [route, hasTimes] = [0, false];
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
      const wrong = route > 0 ? 0 : enterRoute(frame, option, here.inside);
      if (route > 0 || wrong > 0) return option + wrong - at;
      route = option;
    }
    if (type === TIMESTAMP) {
      const wrong = hasTimes ? 0 : enterTime(frame, option, here);
      if (hasTimes || wrong > 0) return option + wrong - at;
      hasTimes = true;
    }
    option += length;
  }
  if (route > 0 && here.inside !== here.address) replaceLast(frame, route, here);
  return 0;
}

/** Replaces what `enterRoute` has entered at `option` when the packet is sent on (Linux 6.1, ip_forward_options). */
function replaceLast({ bytes, view }: Frame, option: number, { inside, address }: Station): void {
  const last = option + bytes[option + POINTER]! - 1 - WORD;
  if (last >= option + ROUTE && view.getUint32(last) === inside[3]) view.setUint32(last, address[3]!);
}

/** Enters the address into the route recorded at `option` if it has room. Returns the offset of a wrong octet; 0: none. */
function enterRoute({ bytes, view }: Frame, option: number, address: Address): number {
  const length = bytes[option + LENGTH]!;
  if (length < ROUTE) return LENGTH;
  // The pointer counts from 1; beyond the option, the route is full.
  const pointer = bytes[option + POINTER]!;
  if (pointer <= ROUTE || (pointer <= length && pointer + ROUTE > length)) return POINTER;
  if (pointer > length) return 0;
  view.setUint32(option + pointer - 1, address[3]!);
  bytes[option + POINTER] = pointer + WORD;
  return 0;
}

/**
 * Enters the time, and the address if the flag asks for it, into the timestamp option at `option`; counts the station if
 * it has no room. Returns the offset of a wrong octet; 0: none. As Linux 6.1 (__ip_options_compile).
 */
function enterTime({ bytes, view }: Frame, option: number, { inside, time, isLocal }: Station): number {
  const length = bytes[option + LENGTH]!;
  if (length < TIMES) return LENGTH;
  const pointer = bytes[option + POINTER]!;
  if (pointer <= TIMES) return POINTER;
  const flag = bytes[option + FLAGS]! & 0xf;
  const overflow = bytes[option + FLAGS]! >> 4;
  const next = option + pointer - 1;
  if (pointer > length) {
    if (flag === GIVEN_ADDRESSES) return 0;
    if (overflow === MAX_OVERFLOW) return FLAGS;
    bytes[option + FLAGS] = flag | ((overflow + 1) << 4);
    return 0;
  }
  const hasAddress = flag === TIME_AND_ADDRESS || flag === GIVEN_ADDRESSES;
  const entry = hasAddress ? 2 * WORD : WORD;
  if (pointer + entry - 1 > length) return POINTER;
  if (flag !== TIME_ONLY && !hasAddress) return 0;
  if (flag === GIVEN_ADDRESSES && !isOwn(addressFromV4(view.getUint32(next)), isLocal)) return 0;
  if (flag === TIME_AND_ADDRESS) view.setUint32(next, inside[3]!);
  view.setUint32(next + entry - WORD, time);
  bytes[option + POINTER] = pointer + entry;
  return 0;
}

/** Linux 6.1 takes every address that is not unicast for its own here (inet_addr_type). */
const isOwn = (address: Address, isLocal: (address: Address) => boolean): boolean =>
  isMulticast(address) || address[3]! === 0xffffffff || address[3]! >>> 24 === 0 || isLocal(address);

/**
 * Writes into `reply`, whose options begin at `to`, what the answer from `here` to the packet at `at` says about its
 * options: the recorded route and times with `here` entered once more, and the security label, in this order (Linux
 * 6.1, __ip_options_echo). Options from the offset `wrong` of the header on made no sense, and are not continued; 0: all made
 * sense. Call it after `enterOptions`. Returns the octets written, a multiple of 4; -1: the options forbid an answer.
 */
export function echoOptions(
  frame: Frame,
  at: number,
  here: Station,
  reply: Frame,
  to: number,
  wrong = 0,
): number {
  const until = wrong > 0 ? at + wrong : at + ipv4.headerLength(frame, at);
  let into = to;
  for (const type of [RECORD_ROUTE, TIMESTAMP, SECURITY_LABEL]) {
    const option = findOption(frame, at, type, until);
    if (option < 0) continue;
    const length = frame.bytes[option + LENGTH]!;
    reply.bytes.set(frame.bytes.subarray(option, option + length), into);
    if (type === RECORD_ROUTE && !continueRoute(reply, into, here)) return -1;
    if (type === TIMESTAMP && !continueTimes(reply, into, here)) return -1;
    into += length;
  }
  const octets = (into - to + WORD - 1) & ~(WORD - 1);
  reply.bytes.fill(END, into, to + octets);
  return octets;
}

/** Returns where the first option of that type is which ends by `until`, a security label begins by then; -1: none. */
function findOption(frame: Frame, at: number, wanted: number, until: number): number {
  const { bytes } = frame;
  const end = at + ipv4.headerLength(frame, at);
  for (let option = at + IPV4_HEADER; option < until; ) {
    const type = bytes[option]!;
    if (type === END) break;
    if (type === NO_OPERATION) {
      option++;
      continue;
    }
    const length = option + LENGTH < end ? bytes[option + LENGTH]! : 0;
    if (length < 2 || option + length > end) break;
    if (type === wanted && (type === SECURITY_LABEL || option + length <= until)) return option;
    option += length;
  }
  return -1;
}

/** Enters `here` into the route recorded at `option` if it has room; false: the room is no whole address. */
function continueRoute({ bytes, view }: Frame, option: number, { address }: Station): boolean {
  const length = bytes[option + LENGTH]!;
  const pointer = bytes[option + POINTER]!;
  if (pointer > length) return true;
  if (pointer + ROUTE > length) return false;
  view.setUint32(option + pointer - 1, address[3]!);
  bytes[option + POINTER] = pointer + WORD;
  return true;
}

/** Enters `here` into the times recorded at `option` if they have room; false: the room is no whole entry. */
function continueTimes({ bytes, view }: Frame, option: number, here: Station): boolean {
  const length = bytes[option + LENGTH]!;
  const pointer = bytes[option + POINTER]!;
  const flag = bytes[option + FLAGS]! & 0xf;
  const next = option + pointer - 1;
  const entry = flag === TIME_ONLY ? WORD : 2 * WORD;
  if (pointer > length || (flag === GIVEN_ADDRESSES && pointer + entry - 1 > length)) return true;
  if (flag !== TIME_ONLY && flag !== TIME_AND_ADDRESS && flag !== GIVEN_ADDRESSES) return true;
  if (pointer + entry - 1 > length) return false;
  if (flag === GIVEN_ADDRESSES && !isOwn(addressFromV4(view.getUint32(next)), here.isLocal)) return true;
  if (flag === TIME_AND_ADDRESS) view.setUint32(next, here.inside[3]!);
  view.setUint32(next + entry - WORD, here.time);
  bytes[option + POINTER] = pointer + entry;
  return true;
}

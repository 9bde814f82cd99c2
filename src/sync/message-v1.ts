/**
 * Synchronization messages, version 1 (ip_vs_sync.c, Linux 6.1). All fields are in network byte order.
 *
 * Header: 0, sync ID, length of the message (2 bytes), number of entries, version (1), 2 bytes of zeros.
 * Entry: type, protocol, version and length (4 and 12 bits), flags (4), state (2), ports of client, virtual service and
 * destination (2 each), firewall mark (4), timeout in seconds (4), the three addresses, options. Zeros before the next
 * entry pad the length to a multiple of 4. Option: type, length, data.
 */

import { ANY4 } from '../wire/address.ts';
import { SEQUENCES, type SyncEntry } from './entry.ts';

export const HEADER_BYTES = 8;
export const VERSION = 1;
/** Offset of the version in the header. */
export const VERSION_AT = 5;
/** Bytes of an entry before its options. */
const FIXED_BYTES = { 4: 36, 6: 72 } as const;
const ADDRESSES_AT = 24;
/** Bit of the type: addresses are those of IPv6. */
const IPV6_TYPE = 1;
const LENGTH_MASK = 0xfff;
const LENGTH_BITS = 12;

/** Types of options; a receiver may ignore an unknown option with the bit `OPTIONAL`. */
const SEQUENCE_OPTION = 1;
const ENGINE_DATA_OPTION = 2;
const ENGINE_OPTION = 3;
/** Of this project: what is left of the timeout, ms, 4 bytes. */
const REMAINING_OPTION = 8;
const REMAINING_BYTES = 4;
export const OPTIONAL = 0x40;
export const OPTION_HEADER_BYTES = 2;
const SEQUENCE_BYTES = 24;
const MAX_ENGINE_BYTES = 16;

/** Returns the number of bytes before the next entry so that it begins at a multiple of 4. */
export const paddingAfter = (length: number): number => -length & 3;

/** Returns the length of an entry with its options, bytes. */
export function entryBytes({ family, flags, engine, engineData, remaining }: SyncEntry): number {
  let bytes: number = FIXED_BYTES[family];
  if ((flags & SEQUENCES) !== 0) bytes += OPTION_HEADER_BYTES + SEQUENCE_BYTES;
  if (engineData !== undefined && engine !== undefined)
    bytes += 2 * OPTION_HEADER_BYTES + engineData.length + engine.length;
  if (remaining !== undefined) bytes += OPTION_HEADER_BYTES + REMAINING_BYTES;
  return bytes;
}

/** Writes the header of a message. */
export function writeHeader(into: Buffer, syncId: number, length: number, entries: number): void {
  into[0] = 0;
  into[1] = syncId;
  into.writeUInt16BE(length, 2);
  into[4] = entries;
  into[VERSION_AT] = VERSION;
  into.writeUInt16BE(0, 6);
}

/** Writes an entry at `at`, where `entryBytes` bytes must be free. */
export function writeEntry(into: Buffer, at: number, entry: SyncEntry): void {
  const { family, flags, engine, engineData, remaining } = entry;
  into[at] = family === 6 ? IPV6_TYPE : 0;
  into[at + 1] = entry.protocol;
  into.writeUInt16BE(entryBytes(entry), at + 2);
  into.writeUInt32BE(flags >>> 0, at + 4);
  into.writeUInt16BE(entry.state, at + 8);
  into.writeUInt16BE(entry.cport, at + 10);
  into.writeUInt16BE(entry.vport, at + 12);
  into.writeUInt16BE(entry.dport, at + 14);
  into.writeUInt32BE(entry.mark, at + 16);
  into.writeUInt32BE(entry.timeout, at + 20);
  let next = at + ADDRESSES_AT;
  for (const address of [entry.caddr, entry.vaddr, entry.daddr])
    for (let word = family === 6 ? 0 : 3; word < 4; word++) next = into.writeUInt32BE(address[word]!, next);
  if ((flags & SEQUENCES) !== 0) {
    into[next++] = SEQUENCE_OPTION;
    into[next++] = SEQUENCE_BYTES;
    for (const word of entry.sequences) next = into.writeUInt32BE(word, next);
  }
  if (engineData !== undefined && engine !== undefined) {
    next = writeText(into, next, ENGINE_DATA_OPTION, engineData);
    next = writeText(into, next, ENGINE_OPTION, engine);
  }
  if (remaining === undefined) return;
  into[next++] = OPTIONAL | REMAINING_OPTION;
  into[next++] = REMAINING_BYTES;
  into.writeUInt32BE(remaining, next);
}

/** Makes the entry at `at` longer by `bytes`, which an option at its end has. */
export function lengthenEntry(into: Buffer, at: number, bytes: number): void {
  into.writeUInt16BE(into.readUInt16BE(at + 2) + bytes, at + 2);
}

function writeText(into: Buffer, at: number, type: number, text: string): number {
  into[at] = type;
  into[at + 1] = text.length;
  return at + OPTION_HEADER_BYTES + into.write(text, at + OPTION_HEADER_BYTES, 'latin1');
}

/** What an entry is worth: complete; to be skipped because of an unknown option; the rest of the message is invalid. */
type Read = 'complete' | 'unknown-option' | 'malformed';

/**
 * Reads the entries of a message, at most as many as its header counts. Calls `take` for each complete one, and `skip` for
 * one with an unknown option. Reports whether the message was well-formed: after a malformed entry it is not read further.
 */
export function readEntries(message: Buffer, entry: SyncEntry, take: () => void, skip: () => void): boolean {
  let at = HEADER_BYTES;
  for (let left = message[4]!; left > 0; left--) {
    if (at + FIXED_BYTES[4] > message.length) return false;
    const versioned = message.readUInt16BE(at + 2);
    const length = versioned & LENGTH_MASK;
    if (at + length > message.length || versioned >>> LENGTH_BITS !== 0) return false;
    const read = readEntry(message, at, at + length, entry);
    if (read === 'malformed') return false;
    if (read === 'complete') take();
    else skip();
    at += length + paddingAfter(length);
  }
  return true;
}

function readEntry(from: Buffer, at: number, end: number, entry: SyncEntry): Read {
  const type = from[at]!;
  const isV6 = (type & IPV6_TYPE) !== 0;
  if (!isV6 && type !== 0) return 'malformed';
  const family = isV6 ? 6 : 4;
  if (at + FIXED_BYTES[family] > end) return 'malformed';
  entry.family = family;
  entry.protocol = from[at + 1]!;
  entry.flags = from.readUInt32BE(at + 4);
  entry.state = from.readUInt16BE(at + 8);
  entry.cport = from.readUInt16BE(at + 10);
  entry.vport = from.readUInt16BE(at + 12);
  entry.dport = from.readUInt16BE(at + 14);
  entry.mark = from.readUInt32BE(at + 16);
  entry.timeout = from.readUInt32BE(at + 20);
  entry.remaining = undefined;
  entry.engine = undefined;
  entry.engineData = undefined;
  let next = at + ADDRESSES_AT;
  for (const address of [entry.caddr, entry.vaddr, entry.daddr]) {
    if (isV6) for (let word = 0; word < 4; word++, next += 4) address[word] = from.readUInt32BE(next);
    else {
      address.set(ANY4);
      address[3] = from.readUInt32BE(next);
      next += 4;
    }
  }
  return readOptions(from, next, end, entry);
}

function readOptions(from: Buffer, start: number, end: number, entry: SyncEntry): Read {
  let hasSequences = false;
  let next = start;
  while (next < end) {
    if (next + OPTION_HEADER_BYTES > end) return 'malformed';
    const type = from[next]!;
    const length = from[next + 1]!;
    const data = next + OPTION_HEADER_BYTES;
    next = data + length;
    if (length === 0 || next > end) return 'malformed';
    switch (type & ~OPTIONAL) {
      case SEQUENCE_OPTION:
        if (length !== SEQUENCE_BYTES || hasSequences) return 'malformed';
        hasSequences = true;
        for (let i = 0; i < entry.sequences.length; i++) entry.sequences[i] = from.readUInt32BE(data + 4 * i);
        break;
      case ENGINE_DATA_OPTION:
        if (entry.engineData !== undefined) return 'malformed';
        entry.engineData = from.toString('latin1', data, next);
        break;
      case ENGINE_OPTION:
        if (length > MAX_ENGINE_BYTES || entry.engine !== undefined) return 'malformed';
        entry.engine = from.toString('latin1', data, next);
        break;
      case REMAINING_OPTION:
        if ((type & OPTIONAL) === 0) return 'unknown-option';
        if (length === REMAINING_BYTES) entry.remaining = from.readUInt32BE(data);
        break;
      default:
        if ((type & OPTIONAL) === 0) return 'unknown-option';
    }
  }
  return 'complete';
}

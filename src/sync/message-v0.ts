/**
 * Synchronization messages, version 0 (ip_vs_sync.c, Linux 6.1): IPv4, without timeouts, marks and options. Fields are in
 * network byte order, except for sequence numbers, which the kernel copies from its memory: little endian here.
 *
 * Header: number of entries, sync ID, length of the message (2 bytes).
 * Entry: 0, protocol, ports of client, virtual service and destination, their addresses, flags (2), state (2); with flags of
 * SEQUENCES also 6 sequence numbers of 4 bytes.
 */

import { ANY4 } from '../wire/address.ts';
import { SEQUENCES, type SyncEntry } from './entry.ts';

export const HEADER_BYTES = 4;
const FIXED_BYTES = 24;
const SEQUENCE_BYTES = 24;
const FLAGS_MASK = 0xffff;

/** Returns the length of an entry, bytes. */
export const entryBytes = ({ flags }: SyncEntry): number =>
  (flags & SEQUENCES) === 0 ? FIXED_BYTES : FIXED_BYTES + SEQUENCE_BYTES;

/** Writes the header of a message. */
export function writeHeader(into: Buffer, syncId: number, length: number, entries: number): void {
  into[0] = entries;
  into[1] = syncId;
  into.writeUInt16BE(length, 2);
}

/** Writes an IPv4 entry at `at`, where `entryBytes` bytes must be free. */
export function writeEntry(into: Buffer, at: number, entry: SyncEntry): void {
  into[at] = 0;
  into[at + 1] = entry.protocol;
  into.writeUInt16BE(entry.cport, at + 2);
  into.writeUInt16BE(entry.vport, at + 4);
  into.writeUInt16BE(entry.dport, at + 6);
  into.writeUInt32BE(entry.caddr[3]!, at + 8);
  into.writeUInt32BE(entry.vaddr[3]!, at + 12);
  into.writeUInt32BE(entry.daddr[3]!, at + 16);
  into.writeUInt16BE(entry.flags & FLAGS_MASK, at + 20);
  into.writeUInt16BE(entry.state, at + 22);
  if ((entry.flags & SEQUENCES) === 0) return;
  let next = at + FIXED_BYTES;
  for (const word of entry.sequences) next = into.writeUInt32LE(word, next);
}

/**
 * Reads the entries of a message, at most as many as its header counts, and calls `take` for each. Reports whether the
 * message had all of them.
 */
export function readEntries(message: Buffer, entry: SyncEntry, take: () => void): boolean {
  let at = HEADER_BYTES;
  for (let left = message[0]!; left > 0; left--) {
    if (at + FIXED_BYTES > message.length) return false;
    entry.family = 4;
    entry.protocol = message[at + 1]!;
    entry.cport = message.readUInt16BE(at + 2);
    entry.vport = message.readUInt16BE(at + 4);
    entry.dport = message.readUInt16BE(at + 6);
    entry.flags = message.readUInt16BE(at + 20);
    entry.state = message.readUInt16BE(at + 22);
    entry.mark = 0;
    entry.timeout = 0;
    entry.remaining = undefined;
    entry.engine = undefined;
    entry.engineData = undefined;
    let next = at + 8;
    for (const address of [entry.caddr, entry.vaddr, entry.daddr]) {
      address.set(ANY4);
      address[3] = message.readUInt32BE(next);
      next += 4;
    }
    at += entryBytes(entry);
    if (at > message.length) return false;
    if ((entry.flags & SEQUENCES) !== 0)
      for (let i = 0; i < entry.sequences.length; i++)
        entry.sequences[i] = message.readUInt32LE(at - SEQUENCE_BYTES + 4 * i);
    take();
  }
  return true;
}

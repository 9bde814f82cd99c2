/**
 * The layout of the connection table's memory. Offsets are in bytes. Fields in "packet order" hold bytes as a packet has
 * them; all others are little endian. Programs of the kernel read the same memory: a change of any number here changes
 * `layoutDigest` and requires a new `LAYOUT_VERSION`.
 *
 * **Rows.** A row is one connection, or one persistence template, of either IP version: 64 bytes, one cache line. Rows are
 * numbered by their place. A row never moves: its number names the connection for as long as it exists.
 *
 * **Homes.** The hash of the client's address, the client's port and the protocol selects one place, the home (homes.ts). A
 * request carries these three in its source, a reply in its destination, so both directions find the same row. The row
 * lies at its home or at one of the 63 places behind it. The bits `near` at the home say at which of them rows of this home
 * lie. `near` belongs to the place, not to the row that happens to lie there. A connection that finds all 64 places taken
 * lies in the annex (annex.ts).
 *
 * **Claims.** A free place is claimed by a compare-exchange of `client` (FREE to BUSY) and filled, and its bit in `near` is
 * set. The row is then published as PENDING and compared with the other rows of its home. It becomes LIVE if none of them
 * has the same key; otherwise its place is freed again. A program keeps the state RECYCLE until the row is LIVE, so that no
 * processor ends what is not complete. A program that finds no free place takes the row of a connection near the home that gives way.
 *
 * **Ends.** A row ends by a compare-exchange of `track`, from any state to GONE, so exactly one processor ends it. That one
 * takes the connection off the counts, clears its bit in `near`, and makes the place FREE; any processor may claim it at
 * once. Each claim, recycling and end raises the generation in `track`. A reader that finds the same generation before it
 * reads the key and after it has read the other fields has read one connection.
 *
 * **Time.** A packet writes the tick into `seen`; its state decides `timeout`. A row is due when `timeout` ticks have passed
 * since `seen` (ticks.ts). The director reads the rows and ends those that are due: nothing is armed or canceled.
 *
 * **Templates.** A template's home is that of its client network, with a digest of the virtual endpoint for the port. The word
 * of a row in `templates` says which row controls it, and the word of a template how many rows it controls: both are CONTROL.
 * Programs find templates and make connections that they control: the word of the new row first, then one more in the word
 * of the template, by a compare-exchange that expects the template's generation, then LIVE. The director alone makes and ends
 * templates. It ends one by a compare-exchange of its word from a count of 0 to 0, without the template's bit, and of `track`
 * after that: of a program that takes the template and a director that ends it, one fails. A template that is due while it
 * controls rows gets more time. Who ends a connection takes it off its template's count, and it was counted until then: so the
 * template of a row in use exists.
 *
 * **Other arrays.** What lookups do not read of a row lies in arrays by row number: the order of creation, the words of
 * `templates`. Destinations, services, next hops and settings are records (record-layout.ts).
 */
import { createHash } from 'node:crypto';
import * as records from './record-layout.ts';

/** Raised with every change of the layout, so that a director recognizes memory that another version has left. */
export const LAYOUT_VERSION = 10;

/** A row is found at its home or at one of the places behind it, this many in all: the bits of `near`. */
export const NEAR = 64;

/** Bytes of a row, and the shift from a row's number to its first byte, 32-bit and 16-bit word. */
export const ROW_BYTES = 64;
export const ROW_SHIFT = 6;
export const ROW_SHIFT_32 = 4;
export const ROW_SHIFT_16 = 5;

/** A row. */
export const ROW = {
  /** Client's address, 16 bytes, packet order; IPv4 as ::ffff:a.b.c.d, of which lookups compare the last word only. */
  caddr: 0,
  /** Virtual address, as `caddr`. A template of a firewall mark has the mark here. */
  vaddr: 16,
  /** Client's port (2 bytes, packet order), protocol (1), kind (1): claimed and published as one word. */
  client: 32,
  /** Virtual port, 2 bytes, packet order. */
  vport: 36,
  /** Packets from the client, 2 bytes; counts on from 32,768 at the end of its range. Of a template: low half of the salt. */
  packets: 38,
  /** 8 bytes: bit d is set while the place of this row plus d holds a row that has its home here. */
  near: 40,
  /** State and flags, see TRACK. Changes by compare-exchange only. */
  track: 48,
  /** The row is due this long after `seen`: ticks of the table's clock. */
  timeout: 52,
  /** Tick of the last packet from either side. */
  seen: 56,
  /** Number of the destination's record, 2 bytes; 0: none. */
  destination: 60,
  /** Number of the next hop of replies, 2 bytes; 0: not looked up. Of a template: high half of the salt. */
  nextHop: 62,
} as const;

/** Shift of what a row is in `client`. */
export const KIND_SHIFT = 24;

/** What a row is: the last byte of `client`. */
export const KIND = {
  FREE: 0,
  /** Claimed, being filled. */
  BUSY: 1,
  /** Published, not yet compared with its neighbors. */
  PENDING: 2,
  LIVE: 3,
  /** A connection whose client port is not known yet; its port is 0. Found where no LIVE row matches. */
  OPEN: 4,
  /** A newer connection has the same key: only replies find this one. */
  REPLACED: 5,
  /** Lives for one packet, never found. */
  HIDDEN: 6,
  /** A persistence template. */
  TEMPLATE: 7,
  /** A template that must not be used any more, never found. */
  INVALID: 8,
  /** Bit: lookups compare all 16 bytes of both addresses. Set in rows of IPv6. */
  WIDE: 0x10,
} as const;

/** `track`. */
export const TRACK = {
  /** State of the protocol. */
  state: 0xf,
  /** States from here on are none of a protocol: the row is being recycled, or has ended. */
  RECYCLE: 14,
  GONE: 15,
  /** Counted among its destination's inactive connections. */
  INACTIVE: 1 << 4,
  /** No packet of the destination was seen. */
  NOOUTPUT: 1 << 5,
  /** Shift of the forwarding method, 3 bits: the kernel's numbers, include/uapi/linux/ip_vs.h (Linux 6.1). */
  method: 6,
  /** All of its packets go up to the director. */
  UP: 1 << 9,
  /** A template or another connection controls it, or it controls others: programs neither recycle nor take it over. */
  TEMPLATED: 1 << 10,
  /** The destination's port is the virtual port; without it, it is that of the destination's record. */
  SAME_PORT: 1 << 11,
  /** Of a TEMPLATED row: it has assured its template (src/director/path/tracking.ts). */
  ASSURED: 1 << 12,
  /** A message of another director made it. */
  SYNCED: 1 << 13,
  /** Shift of the generation, 8 bits. */
  generation: 24,
} as const;

/**
 * The word of a row in `templates`, 4 bytes. Of a connection: the number of the row that controls it, plus 1; 0: none. Of a
 * template: the bit TEMPLATE, the low bits of the row's generation, so that a program recognizes another template in the same
 * row, and how many rows it controls. Of a place that is free: 0.
 */
export const CONTROL = {
  TEMPLATE: 0x8000_0000 | 0,
  /** Shift of the generation, and its bits. */
  generation: 25,
  generations: 0x3f,
  COUNT: 0x1ff_ffff,
} as const;

/** Bits of the forwarding method in `track`. */
export const METHOD_BITS = 7 << TRACK.method;

/** The head of the table: what programs and the director count together. Words of 32 bits. */
export const HEAD_BYTES = 64;
export const HEAD = {
  /** Rows in use. Lies before `order`, so that one 64-bit addition serves both. */
  live: 0,
  /** Rows that were ever made, modulo 2^32: their order of creation. */
  order: 4,
  /** Rows of kind OPEN. Written by the director alone. */
  open: 8,
} as const;

/** Identifies the layout: differs wherever any of the numbers above differs. */
export function layoutDigest(): string {
  const all = { NEAR, ROW_BYTES, ROW, KIND, TRACK, CONTROL, HEAD_BYTES, HEAD, records };
  return createHash('sha256')
    .update(JSON.stringify(sorted(all)))
    .digest('hex')
    .slice(0, 16);
}

/** Returns a copy whose keys are in alphabetical order: that of a module's exports depends on who compiled it. */
const sorted = (value: unknown): unknown =>
  typeof value === 'object' && value !== null
    ? Object.fromEntries(
        Object.entries(value)
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([key, each]) => [key, sorted(each)]),
      )
    : value;

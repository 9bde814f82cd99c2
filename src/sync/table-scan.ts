/**
 * Finds packets of clients that programs of the kernel forwarded, by reading the rows: the director sees none of them.
 * Several packets between two looks are examined as one: only the last state counts, and a state that came and went is not
 * seen.
 */

import type { ConnectionTable } from '../director/connections.ts';
import type { Row } from '../model/connection.ts';
import type { Master } from './master.ts';
import type { RowNotes } from './row-notes.ts';
import { tickAt } from './send-rules.ts';

/** Time of a pass over all rows, ms, of tables that `MAX_ROWS_AT_ONCE` allows it for. */
const PASS_MS = 100;
/** Rows that are read at once at most, some 6 ms, or 6 % of a processor. */
const MAX_ROWS_AT_ONCE = 1 << 19;
/** Counts of packets go on from here at the end of their range, see RowFields.addPackets. */
const PACKETS_WRAP = 0x8000;

export class TableScan {
  readonly #table: ConnectionTable;
  readonly #notes: RowNotes;
  #next: Row = 0;
  #owed = 0;
  #advanced: number;
  /** Rows that were not read since the start: the packets that their connections had before are not examined. */
  #unread: number;

  constructor(table: ConnectionTable, notes: RowNotes, now: number) {
    this.#table = table;
    this.#notes = notes;
    this.#advanced = now;
    this.#unread = table.places;
  }

  /** Reads the part of the rows that is due since the last call, and reports packets to `master`. */
  advance(now: number, master: Pick<Master, 'packetBetween'>): void {
    const { places } = this.#table;
    this.#owed = Math.min(this.#owed + ((now - this.#advanced) * places) / PASS_MS, places);
    this.#advanced = now;
    let left = Math.min(Math.floor(this.#owed), MAX_ROWS_AT_ONCE);
    this.#owed -= left;
    while (left > 0) {
      const from = this.#next;
      const to = Math.min(from + left, places);
      this.#table.eachCounted(from, to, this.#notes.counts, (row) => this.#look(row, now, master));
      left -= to - from;
      this.#unread = Math.max(0, this.#unread - (to - from));
      this.#next = to < places ? to : 0;
    }
  }

  /** Reports the packets of a connection since the last look to `master`. */
  examine(row: Row, now: number, master: Pick<Master, 'packetBetween'>): void {
    const packets = this.#table.packets(row);
    const { counts } = this.#notes;
    this.#notes.begin(row, tickAt(now));
    const before = counts[row]!;
    if (packets === before) return;
    counts[row] = packets;
    master.packetBetween(row, packets < before ? before - PACKETS_WRAP : before, packets, now);
  }

  #look(row: Row, now: number, master: Pick<Master, 'packetBetween'>): void {
    if (this.#table.hasEnded(row)) return;
    if (this.#notes.begin(row, tickAt(now)) && this.#unread > 0)
      this.#notes.counts[row] = this.#table.packets(row);
    else this.examine(row, now, master);
  }
}

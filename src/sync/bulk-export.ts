/** Reads the table for a director that joins: all connections and templates, in the order of their rows. */
import type { DirectorCore } from '../director/core.ts';
import { endFrame, makeFrame } from './bulk-format.ts';
import { SyncEntry } from './entry.ts';
import { fillEntry } from './fill-entry.ts';
import * as v1 from './message-v1.ts';

/** Entries of a frame: some 0.2 ms of work. */
const MAX_ENTRIES = 64;
/** Places that are read for one frame: some 0.2 ms of work in an empty table. */
const MAX_PLACES = 8192;
/** Bytes of the longest entry: IPv6, with a persistence engine's key. */
const MAX_ENTRY_BYTES = 72 + 26 + 2 + 255 + 2 + 16 + 6;

export class BulkExport {
  readonly #core: DirectorCore;
  readonly #entry = new SyncEntry();
  #place: number;
  /** Entries so far. */
  sent = 0;

  /** `place`: where to begin. */
  constructor(core: DirectorCore, place = 0) {
    this.#core = core;
    this.#place = place;
  }

  /** Reports whether all rows were read. */
  get isComplete(): boolean {
    return this.#place >= this.#core.table.places;
  }

  /** Returns the next frame; undefined: the rows that were read are empty. `now`: ms of the director's clock. */
  next(now: number): Buffer | undefined {
    const { table } = this.#core;
    const end = Math.min(table.places, this.#place + MAX_PLACES);
    const { frame, message } = makeFrame(v1.HEADER_BYTES + MAX_ENTRIES * MAX_ENTRY_BYTES);
    let length = v1.HEADER_BYTES;
    let entries = 0;
    let row = this.#place;
    for (; row < end && entries < MAX_ENTRIES; row++) {
      if (!table.has(row) || table.hasEnded(row) || table.isOnePacket(row)) continue;
      const remaining = table.expires(row) - now;
      if (remaining <= 0) continue;
      fillEntry(this.#core, row, this.#entry);
      this.#entry.remaining = Math.min(remaining, 0xffff_ffff);
      length += v1.paddingAfter(length);
      v1.writeEntry(message, length, this.#entry);
      length += v1.entryBytes(this.#entry);
      entries++;
    }
    this.#place = row;
    this.sent += entries;
    if (entries === 0) return undefined;
    v1.writeHeader(message, 0, length, entries);
    return endFrame(frame, row, length);
  }

  /** Returns the frame that ends the transfer. */
  end(): Buffer {
    const { frame, message } = makeFrame(v1.HEADER_BYTES);
    v1.writeHeader(message, 0, v1.HEADER_BYTES, 0);
    return endFrame(frame, this.#place, v1.HEADER_BYTES);
  }
}

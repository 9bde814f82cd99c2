/** A connection table, what its memory tells the next director, and where the memory is kept when this process ends. */
import { basename } from 'node:path';
import type { RestartDocument } from '../../config/document.ts';
import type { ConnectionTable } from '../../director/connections.ts';
import type { KeptFolder } from '../../host/kept-folder.ts';
import { systemTime } from '../../host/system-time.ts';
import { type Header, writeHeader } from '../../table/header.ts';
import type { TableMemory } from '../../table/memory.ts';
import { SETTINGS, SETTINGS_BYTES } from '../../table/record-layout.ts';
import { settingsWords } from '../../table/settings-record.ts';
import type { SharedClock, Ticks } from '../../table/ticks.ts';
import { unpredictable } from '../random.ts';
import { type AdoptedTable, bootId } from './adopted-table.ts';

/** Programs compare ticks modulo 2^32: this many are no time that passes without a heartbeat. */
const NEVER_TICKS = 2 ** 30;

/** A table and its clock. */
export interface TimedTable {
  readonly memory: TableMemory;
  readonly ticks: Ticks;
  readonly table: ConnectionTable;
}

/** A table that a former director has left. */
export interface Adoption {
  readonly connections: number;
  /** Time for which no director was alive, ms; 0: not known. */
  readonly silent: number;
  /** When it was alive last, ms since 1970. */
  readonly since: number;
}

/** Returns what is known of a table that was adopted now. */
export function adoptionOf({
  found,
  header: { aliveAt },
}: Pick<AdoptedTable<unknown>, 'found' | 'header'>): Adoption {
  const now = systemTime();
  const silent = aliveAt > 0 && aliveAt <= now ? now - aliveAt : 0;
  return { connections: found.rows, silent, since: Date.now() - silent };
}

export class KeptTable {
  readonly shared: TimedTable;
  readonly adopted: Adoption | undefined;
  readonly #folder: KeptFolder | undefined;
  readonly #settings: Uint32Array<ArrayBuffer>;
  /** Ticks without a director after which programs forward nothing. */
  #releaseTicks = NEVER_TICKS;

  /** `folder`: undefined, the memory ends with this process. */
  constructor(shared: TimedTable, folder: KeptFolder | undefined, adopted: Adoption | undefined) {
    this.shared = shared;
    this.adopted = adopted;
    this.#folder = folder;
    this.#settings = settingsWords(shared.memory);
  }

  /** Names the table among all that were made, for a record of the applied file; undefined: nothing is kept. */
  get identity(): string | undefined {
    return this.#folder && `${basename(this.#folder.folder)}-${this.#settings[SETTINGS.identity >> 2]}`;
  }

  /** The director has started: the next one may take the table over. */
  complete(): void {
    this.#settings[SETTINGS.complete >> 2] = 1;
  }

  /** Sets after which times without a director programs admit no new connection, and forward nothing. `now`: ms. */
  limitAbsence({ orphan, release }: Pick<RestartDocument, 'orphan' | 'release'>, now: number): void {
    const { ticks } = this.shared;
    this.#releaseTicks = ticks.timeout(release * 1000);
    this.beat(now);
    this.#settings[SETTINGS.orphan >> 2] = ticks.timeout(orphan * 1000);
  }

  /** Shows programs, and the next director, that this one is alive at `now`, ms. */
  beat(now: number): void {
    const settings = this.#settings;
    // Programs and this process may be a tick apart.
    const heartbeat = this.shared.ticks.at(now) - 2;
    settings[SETTINGS.heartbeat >> 2] = heartbeat;
    // 0 is none.
    settings[SETTINGS.passFrom >> 2] = Math.max(1, (heartbeat + this.#releaseTicks) >>> 0);
    const at = systemTime();
    settings[SETTINGS.aliveAt >> 2] = at >>> 0;
    settings[(SETTINGS.aliveAt >> 2) + 1] = Math.floor(at / 2 ** 32);
  }

  /** Leaves the table to the next director at `now`, ms. */
  leave(now: number): void {
    this.beat(now);
    this.#folder?.unlock();
  }

  /** Removes the table. */
  close(): void {
    this.#folder?.removeAll();
  }
}

/** Writes the header of a new table that is in `memory`. */
export function writeNewHeader(
  memory: TableMemory,
  { shift, offset }: SharedClock,
  { processors, counted }: Pick<Header, 'processors' | 'counted'>,
): void {
  const settings = memory.reserve('settings', SETTINGS_BYTES);
  const identity = Math.floor(unpredictable() * 2 ** 32);
  writeHeader(
    new Uint8Array(settings.buffer, settings.offset, SETTINGS_BYTES),
    { clockShift: shift, clockOffset: offset, processors, counted, identity },
    bootId(),
  );
}

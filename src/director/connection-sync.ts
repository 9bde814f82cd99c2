/** The interface of connection synchronization: what a director reports to it. src/sync implements it. */
import type { SyncDaemon } from '../model/command.ts';
import type { Row } from '../model/connection.ts';
import type { SyncCounts } from '../model/snapshot.ts';

/** Times are ms of the director's clock. */
export interface ConnectionSync {
  /** Counts since the start; undefined without synchronization. */
  readonly counts: SyncCounts | undefined;
  /** A client's packet of the row was forwarded and counted. */
  forwarded(row: Row, now: number): void;
  /** The timer of a row that controls others ended, and was restarted. */
  extended(row: Row): void;
  /** The sync daemons are these from now on. */
  setDaemons(daemons: readonly SyncDaemon[], now: number): void;
  /** Does what is due. Called at least every 100 ms. */
  advance(now: number): void;
}

/** Does nothing: for a director without synchronization. */
const noConnectionSync: ConnectionSync = {
  counts: undefined,
  forwarded: () => {},
  extended: () => {},
  setDaemons: () => {},
  advance: () => {},
};

/** The synchronization of a director, if any. */
export class AttachedConnectionSync implements ConnectionSync {
  #sync = noConnectionSync;

  /** Replaces the synchronization; before the first daemon starts. */
  attach(sync: ConnectionSync): void {
    this.#sync = sync;
  }

  get counts(): SyncCounts | undefined {
    return this.#sync.counts;
  }

  forwarded(row: Row, now: number): void {
    this.#sync.forwarded(row, now);
  }

  extended(row: Row): void {
    this.#sync.extended(row);
  }

  setDaemons(daemons: readonly SyncDaemon[], now: number): void {
    this.#sync.setDaemons(daemons, now);
  }

  advance(now: number): void {
    this.#sync.advance(now);
  }
}

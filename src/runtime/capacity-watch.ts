/** Reports what exceeds a capacity: destinations, the connection table, lost packets. */

import type { Director } from '../director/director.ts';
import type { HostIo } from '../io/host-io.ts';
import { Overloads } from './changes.ts';
import type { Conditions } from './conditions.ts';
import type { Log } from './log.ts';

export interface CapacityWatchOptions {
  readonly director: Director;
  readonly io: Pick<HostIo, 'losses'>;
  readonly conditions: Conditions;
  readonly log: Log;
}

export class CapacityWatch {
  readonly #options: CapacityWatchOptions;
  readonly #overloads = new Overloads();
  #areOverloadsRead = false;
  #isTableFull = false;
  /** How often the table had been full at the last check. */
  #fullCount = 0;
  #lost = 0;

  constructor(options: CapacityWatchOptions) {
    this.#options = options;
  }

  /** Reports changes since the last call. Call it once a second. */
  check(): void {
    const { io, log } = this.#options;
    this.#checkTable();
    if (!this.#areOverloadsRead) void this.#readOverloads();
    const { sendFailures: _, ...places } = io.losses();
    const lost = Object.values(places).reduce((total, count) => total + count, 0);
    if (lost > this.#lost) log('warning', 'packets-lost', places);
    this.#lost = lost;
  }

  async #readOverloads(): Promise<void> {
    const { director, log } = this.#options;
    this.#areOverloadsRead = true;
    try {
      await this.#overloads.update(director.context.services.all, log);
    } finally {
      this.#areOverloadsRead = false;
    }
  }

  /**
   * Reports a full connection table as a condition until a tenth of it is free, so that the condition does not flap. A
   * table that was full since the last check counts, too: an embryonic connection may have made room.
   */
  #checkTable(): void {
    const { conditions, director } = this.#options;
    const { size, capacity, fullCount } = director.context.table;
    const wasFull = fullCount > this.#fullCount;
    this.#fullCount = fullCount;
    this.#isTableFull = wasFull || size >= (this.#isTableFull ? 0.9 : 1) * capacity;
    const text = `the connection table is full: ${capacity} entries (see --connections)`;
    const entry = { text, fields: { entries: size, capacity } };
    conditions.set('table-full', new Map(this.#isTableFull ? [['connections', entry]] : []));
  }
}

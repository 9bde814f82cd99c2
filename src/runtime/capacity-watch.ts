/** Reports what exceeds a capacity: destinations, the connection table, the kernel's flow table, lost packets. */

import type { Director } from '../director/director.ts';
import type { HostIo } from '../io/host-io.ts';
import { Overloads } from './changes.ts';
import type { Conditions } from './conditions.ts';
import type { Log } from './log.ts';
import type { Offloading } from './offloading.ts';

export interface CapacityWatchOptions {
  readonly director: Director;
  readonly io: Pick<HostIo, 'losses'>;
  readonly offloading: Pick<Offloading, 'counts'> | undefined;
  readonly conditions: Conditions;
  readonly log: Log;
}

export class CapacityWatch {
  readonly #options: CapacityWatchOptions;
  readonly #overloads = new Overloads();
  #isTableFull = false;
  #crowded = 0;
  #lost = 0;

  constructor(options: CapacityWatchOptions) {
    this.#options = options;
  }

  /** Reports changes since the last call. Call it once a second. */
  check(): void {
    const { director, io, offloading, log } = this.#options;
    this.#checkTable();
    this.#overloads.update(director.context.services.all, log);
    const { captureDrops, ringDrops, truncated } = io.losses();
    const lost = captureDrops + ringDrops + truncated;
    if (lost > this.#lost) log('warning', 'packets-lost', { captureDrops, ringDrops, truncated });
    this.#lost = lost;
    const { crowded = 0 } = offloading?.counts ?? {};
    if (crowded > this.#crowded) log('warning', 'flow-table-full', { refused: crowded - this.#crowded });
    this.#crowded = crowded;
  }

  /**
   * Reports a full connection table as a condition until a tenth of it is free, so that the condition does not flap.
   */
  #checkTable(): void {
    const { conditions, director } = this.#options;
    const { size, capacity } = director.context.table;
    this.#isTableFull = size >= (this.#isTableFull ? 0.9 : 1) * capacity;
    const text = `the connection table is full: ${capacity} entries (see --connections)`;
    const entry = { text, fields: { entries: size, capacity } };
    conditions.set('table-full', new Map(this.#isTableFull ? [['connections', entry]] : []));
  }
}

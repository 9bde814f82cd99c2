/** Ends the connections of removed destinations (expire_nodest_conn), in portions: the whole table is read for them. */
import { NONE, type Row } from '../../model/connection.ts';
import { type Core, destinationOf } from '../core.ts';
import type { DestinationRegistry } from '../destinations.ts';
import { end } from './connection-lifecycle.ts';

/** Places that are read, and connections that are ended, in a portion at most: about 2 ms each. */
const PLACES_PER_PORTION = 1 << 17;
const ENDS_PER_PORTION = 2048;
/** Minimum time between two portions, ms. */
const PORTION_INTERVAL_MS = 5;

export class AbandonedConnections {
  readonly #core: Core & { readonly destinations: DestinationRegistry };
  /** The place that is read next, and how many have not been read since the last `find`. */
  #next: Row = 0;
  #left = 0;
  /** Time of the last portion, ms. */
  #portionAt = Number.NEGATIVE_INFINITY;

  constructor(core: Core & { readonly destinations: DestinationRegistry }) {
    this.#core = core;
  }

  /** Ends such connections, and templates without other connections: the first now, the rest with `advance`. */
  find(): void {
    const { destinations, settings, table } = this.#core;
    // The whole table is read: not for a destination without connections.
    if (settings.expire_nodest_conn === 0 || !destinations.mayBeAbandoned) return;
    destinations.mayBeAbandoned = false;
    const isRunning = this.#left > 0;
    this.#left = table.places;
    if (!isRunning) this.#readPortion();
  }

  /** Continues after `find`. `now`: ms. */
  advance(now: number): void {
    if (this.#left === 0 || now - this.#portionAt < PORTION_INTERVAL_MS) return;
    this.#portionAt = now;
    this.#readPortion();
  }

  #readPortion(): void {
    const core = this.#core;
    const { table } = core;
    const from = this.#next;
    const to = Math.min(from + Math.min(PLACES_PER_PORTION, this.#left), table.places);
    let ends = 0;
    let next = to;
    for (const row of table.rows(from, to)) {
      const destination = destinationOf(core, row);
      if (destination.available || destination.hidden) continue;
      if (ends === ENDS_PER_PORTION) {
        next = row;
        break;
      }
      const template = table.template(row);
      if (end(core, row) && template !== NONE) end(core, template);
      ends++;
    }
    this.#left -= next - from;
    this.#next = next < table.places ? next : 0;
  }
}

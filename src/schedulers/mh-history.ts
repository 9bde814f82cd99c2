/**
 * Earlier lists of destinations of a service with mh. A packet of an unknown connection belongs to one that another director
 * has scheduled by the list of that time: the oldest list that is kept decides, because long connections are those that
 * a director's end interrupts.
 */
import type { Destination } from '../model/destination.ts';
import type { Takeover } from '../model/takeover.ts';

/** Maximum number of earlier lists. */
export const MAX_LISTS = 8;

/** A list of destinations as it was. */
export interface FormerList {
  readonly members: readonly FormerMember[];
  /** When it came into effect, and until when it is kept, ms; undefined: it is not known when it ended. */
  readonly since: number;
  until: number | undefined;
  /** Made when it is needed. */
  table: Destination[] | undefined;
}

export interface FormerMember {
  readonly destination: Destination;
  readonly lastWeight: number;
  readonly isQuiesced: boolean;
}

export class MhHistory {
  readonly #destinations: readonly Destination[];
  readonly #takeover: Readonly<Takeover>;
  readonly #lists: FormerList[] = [];
  /** The list as of the last second in which it did not change; undefined: none was seen. */
  #settled: FormerList | undefined;
  #isChanged = true;

  /** `destinations`: the service's live list. */
  constructor(destinations: readonly Destination[], takeover: Readonly<Takeover>) {
    this.#destinations = destinations;
    this.#takeover = takeover;
  }

  /** The list has changed. */
  changed(): void {
    this.#isChanged = true;
  }

  /** Takes note of changes, and forgets old lists. Changes between two calls are one change. `now`: ms. */
  expire(now: number): void {
    const { history } = this.#takeover;
    if (history === 0) {
      this.#lists.length = 0;
      this.#settled = undefined;
      this.#isChanged = true;
      return;
    }
    while (this.#lists[0]?.until !== undefined && this.#lists[0].until <= now) this.#lists.shift();
    if (!this.#isChanged) return;
    this.#isChanged = false;
    const members = this.#destinations.map((destination): FormerMember => {
      const { lastWeight, weight } = destination;
      return { destination, lastWeight, isQuiesced: weight === 0 };
    });
    const settled = this.#settled;
    if (settled && areEqual(settled.members, members)) return;
    this.#settled = { members, since: now, until: undefined, table: undefined };
    if (!settled || settled.members.length === 0) return;
    settled.until = now + history;
    this.#lists.push(settled);
    if (this.#lists.length > MAX_LISTS) this.#lists.splice(this.#shortest(), 1);
  }

  /** Returns the lists that preceded the present one, oldest first. */
  get former(): readonly FormerList[] {
    return this.#isChanged && this.#settled && this.#settled.members.length > 0
      ? [...this.#lists, this.#settled]
      : this.#lists;
  }

  /** Returns the index of the list that was in effect for the shortest time: a slow start makes many of them. Of equal ones, the last. */
  #shortest(): number {
    let shortest = 0;
    let least = Number.POSITIVE_INFINITY;
    for (const [i, { since }] of this.#lists.entries()) {
      const time = (this.#lists[i + 1] ?? this.#settled!).since - since;
      if (time <= least) [shortest, least] = [i, time];
    }
    return shortest;
  }
}

const areEqual = (some: readonly FormerMember[], others: readonly FormerMember[]): boolean =>
  some.length === others.length &&
  some.every(({ destination, lastWeight, isQuiesced }, i) => {
    const other = others[i]!;
    return (
      destination === other.destination && lastWeight === other.lastWeight && isQuiesced === other.isQuiesced
    );
  });

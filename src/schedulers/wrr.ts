/** Weighted round robin: a destination has as many turns per round as its weight, spread over the round. */
import type { Destination } from '../model/destination.ts';
import { gcd } from './gcd.ts';
import { isEligible } from './least.ts';
import type { Scheduler, SchedulerContext, SchedulerFactory } from './scheduler.ts';

/**
 * Returns the scheduler. A round passes through levels, from the highest weight down to 1, in steps of the greatest common
 * divisor of all weights. At each level, destinations of at least that weight have a turn (ip_vs_wrr.c, Linux 6.1).
 */
export const wrr: SchedulerFactory = (context) => after(undefined, context);

/** Position in a round. */
interface Place {
  readonly level: number;
  /** Index of the last selection in this level; -1: before the first. */
  readonly last: number;
}

function after(place: Place | undefined, { destinations }: SchedulerContext): Scheduler {
  let step = 1;
  let top = 0;
  let { level, last } = place ?? { level: 0, last: -1 };

  const weights = new DistinctWeights(destinations);
  const measure = () => {
    const { divisor, heaviest } = weights.measure();
    step = divisor || 1;
    top = heaviest === 0 ? 0 : heaviest - (step - 1);
  };
  const turn = (): Destination | undefined => {
    for (let place = last + 1; place < destinations.length; place++) {
      const destination = destinations[place]!;
      if (destination.weight < level || destination.overloaded) continue;
      last = place;
      return destination;
    }
    return undefined;
  };
  const heaviestEligible = (): number => {
    let weight = 0;
    for (const destination of destinations) {
      if (isEligible(destination)) weight = Math.max(weight, destination.weight);
    }
    return weight;
  };

  measure();
  if (!place) level = top;
  return {
    schedule() {
      if (top === 0) return undefined;
      const next = turn();
      if (next) return next;
      const reachable = heaviestEligible();
      if (reachable === 0) {
        // All are overloaded. The kernel iterates in vain, and ends at the start unless it was in the last
        // level.
        if (last < 0 || level > step) {
          last = -1;
          level = top;
        }
        return undefined;
      }
      level = level > step ? level - step : top;
      // Levels above all that can be picked have no turns; weights reach 2^31, so they are not walked one by one.
      if (level > reachable) level -= Math.ceil((level - reachable) / step) * step;
      last = -1;
      return turn();
    },
    changed(what, destination) {
      weights.change(destination, what === 'removed' ? undefined : destination.weight);
      measure();
      last = -1;
      if (level > top || level === 0) level = top;
      else if (step > 1) level = Math.floor(level / step) * step + 1;
    },
    fork: (context) => after({ level, last }, context),
  };
}

/** Counts the destinations of each weight, so that a change costs the number of different weights, not of destinations. */
class DistinctWeights {
  readonly #known = new Map<Destination, number>();
  readonly #counts = new Map<number, number>();

  constructor(destinations: readonly Destination[]) {
    for (const destination of destinations) this.change(destination, destination.weight);
  }

  /** Records the weight of a destination; undefined removes it. */
  change(destination: Destination, weight: number | undefined): void {
    const before = this.#known.get(destination);
    if (before !== undefined) {
      const left = this.#counts.get(before)! - 1;
      if (left > 0) this.#counts.set(before, left);
      else this.#counts.delete(before);
    }
    if (weight === undefined) this.#known.delete(destination);
    else {
      this.#known.set(destination, weight);
      this.#counts.set(weight, (this.#counts.get(weight) ?? 0) + 1);
    }
  }

  /** Returns the greatest common divisor of all weights and the greatest weight; 0 and 0 without a weight. */
  measure(): { readonly divisor: number; readonly heaviest: number } {
    let divisor = 0;
    let heaviest = 0;
    for (const weight of this.#counts.keys()) {
      divisor = gcd(weight, divisor);
      heaviest = Math.max(heaviest, weight);
    }
    return { divisor, heaviest };
  }
}

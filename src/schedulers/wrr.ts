/** Weighted round robin: a destination has as many turns per round as its weight, spread over the round. */
import type { Destination } from '../model/destination.ts';
import { gcd } from './gcd.ts';
import { isEligible } from './least.ts';
import type { Scheduler, SchedulerContext, SchedulerFactory } from './scheduler.ts';

/**
 * Returns the scheduler. A round passes through levels, from the highest weight down to 1, in steps of the greatest common
 * divisor of all weights. At each level, destinations of at least that weight have a turn (ip_vs_wrr.c, Linux 6.1).
 */
export const wrr: SchedulerFactory = (context) => {
  const { position } = context;
  const scheduler = rounds(context);
  position.level = position.top;
  position.last = -1;
  return scheduler;
};

function rounds({ destinations, position }: SchedulerContext): Scheduler {
  const weights = new DistinctWeights(destinations);
  const measure = () => {
    const { divisor, heaviest } = weights.measure();
    position.step = divisor || 1;
    position.top = heaviest === 0 ? 0 : heaviest - (position.step - 1);
  };
  const turn = (): Destination | undefined => {
    const { level } = position;
    for (let place = position.last + 1; place < destinations.length; place++) {
      const destination = destinations[place]!;
      if (destination.weight < level || destination.overloaded) continue;
      position.last = place;
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
  return {
    schedule() {
      const { step, top } = position;
      if (top === 0) return undefined;
      const next = turn();
      if (next) return next;
      const reachable = heaviestEligible();
      let { level } = position;
      if (reachable === 0) {
        // All are overloaded. The kernel iterates in vain, and ends at the start unless it was in the last
        // level.
        if (position.last < 0 || level > step) {
          position.last = -1;
          position.level = top;
        }
        return undefined;
      }
      level = level > step ? level - step : top;
      // Levels above all that can be picked have no turns; weights reach 2^31, so they are not walked one by one.
      if (level > reachable) level -= Math.ceil((level - reachable) / step) * step;
      position.level = level;
      position.last = -1;
      return turn();
    },
    changed(what, destination) {
      weights.change(destination, what === 'removed' ? undefined : destination.weight);
      measure();
      position.last = -1;
      const { level, step, top } = position;
      if (level > top || level === 0) position.level = top;
      else if (step > 1) position.level = Math.floor(level / step) * step + 1;
    },
    fork: rounds,
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

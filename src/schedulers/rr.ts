/** Round robin: selects destinations in turn, whatever their weight. */

import { isEligible } from './least.ts';
import type { Scheduler, SchedulerContext, SchedulerFactory } from './scheduler.ts';

/** `last`: index of the last selection; -1: before the first. */
function after(last: number, { destinations }: SchedulerContext): Scheduler {
  return {
    schedule() {
      const size = destinations.length;
      for (let step = 1; step <= size; step++) {
        const place = (last + step) % size;
        const destination = destinations[place]!;
        if (!isEligible(destination)) continue;
        last = place;
        return destination;
      }
      return undefined;
    },
    // When the last selection itself is removed, the index before it replaces it, so that no destination
    // loses a turn.
    changed(what, _destination, index) {
      if (what === 'added' && index <= last) last++;
      if (what === 'removed' && index <= last) last--;
    },
    fork: (context) => after(last, context),
  };
}

export const rr: SchedulerFactory = (context) => after(-1, context);

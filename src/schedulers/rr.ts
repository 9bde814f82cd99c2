/** Round robin: selects destinations in turn, whatever their weight. */

import { isEligible } from './least.ts';
import type { Scheduler, SchedulerContext, SchedulerFactory } from './scheduler.ts';

function turns({ destinations, position }: SchedulerContext): Scheduler {
  return {
    schedule() {
      const size = destinations.length;
      const { last } = position;
      for (let step = 1; step <= size; step++) {
        const place = (last + step) % size;
        const destination = destinations[place]!;
        if (!isEligible(destination)) continue;
        position.last = place;
        return destination;
      }
      return undefined;
    },
    // When the last selection itself is removed, the index before it replaces it, so that no destination
    // loses a turn.
    changed(what, _destination, index) {
      if (what === 'added' && index <= position.last) position.last++;
      if (what === 'removed' && index <= position.last) position.last--;
    },
    fork: turns,
  };
}

export const rr: SchedulerFactory = (context) => {
  context.position.last = -1;
  return turns(context);
};

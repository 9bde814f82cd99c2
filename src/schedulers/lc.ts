/** Least-connection: selects the destination with the lowest overhead, whatever its weight. */
import type { Destination } from '../model/destination.ts';
import { isEligible, overhead } from './least.ts';
import type { SchedulerFactory } from './scheduler.ts';

export const lc: SchedulerFactory = ({ destinations }) => ({
  schedule() {
    let least: Destination | undefined;
    let leastLoad = Number.POSITIVE_INFINITY;
    for (const destination of destinations) {
      if (!isEligible(destination)) continue;
      const load = overhead(destination);
      if (load >= leastLoad) continue;
      least = destination;
      leastLoad = load;
    }
    return least;
  },
});

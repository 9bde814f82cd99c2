/** Never queue: selects an idle destination, otherwise the one with the shortest expected delay. */
import { expectedDelay, isEligible, leastLoaded } from './least.ts';
import type { SchedulerFactory } from './scheduler.ts';

export const nq: SchedulerFactory = ({ destinations }) => ({
  schedule() {
    for (const destination of destinations) {
      if (destination.activeConnections === 0 && isEligible(destination)) return destination;
    }
    return leastLoaded(destinations, expectedDelay);
  },
});

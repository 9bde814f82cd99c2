/** Weighted failover: always selects the destination with the highest weight that is not overloaded. */
import type { Destination } from '../model/destination.ts';
import { isEligible } from './least.ts';
import type { SchedulerFactory } from './scheduler.ts';

export const fo: SchedulerFactory = ({ destinations }) => ({
  schedule() {
    let heaviest: Destination | undefined;
    for (const destination of destinations) {
      if (isEligible(destination) && destination.weight > (heaviest?.weight ?? 0)) heaviest = destination;
    }
    return heaviest;
  },
});

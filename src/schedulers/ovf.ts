/** Weighted overflow: selects the highest weight whose active connections do not exceed it. */
import type { Destination } from '../model/destination.ts';
import { isEligible } from './least.ts';
import type { SchedulerFactory } from './scheduler.ts';

export const ovf: SchedulerFactory = ({ destinations }) => ({
  schedule() {
    let heaviest: Destination | undefined;
    for (const destination of destinations) {
      // "Exceed": a destination of weight 5 takes a sixth connection, as in ip_vs_ovf.c.
      if (!isEligible(destination) || destination.activeConnections > destination.weight) continue;
      if (destination.weight > (heaviest?.weight ?? 0)) heaviest = destination;
    }
    return heaviest;
  },
});

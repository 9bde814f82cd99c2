/** Shortest expected delay: the fewest active connections for its weight, the one to come included. */
import { expectedDelay, leastLoaded } from './least.ts';
import type { SchedulerFactory } from './scheduler.ts';

export const sed: SchedulerFactory = ({ destinations }) => ({
  schedule: () => leastLoaded(destinations, expectedDelay),
});

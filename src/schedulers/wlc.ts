/** Weighted least connections: the fewest connections for its weight. The default. */
import { leastLoaded, overhead } from './least.ts';
import type { SchedulerFactory } from './scheduler.ts';

export const wlc: SchedulerFactory = ({ destinations }) => ({
  schedule: () => leastLoaded(destinations, overhead),
});

/**
 * Shortest expected delay: selects the fewest active connections per unit of weight, including the new one.
 */
import { expectedDelay, leastLoaded } from './least.ts';
import type { SchedulerFactory } from './scheduler.ts';

export const sed: SchedulerFactory = ({ destinations }) => ({
  schedule: () => leastLoaded(destinations, expectedDelay),
});

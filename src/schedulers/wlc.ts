/**
 * Weighted least-connection (default): selects the lowest overhead per unit of weight, overhead = 256 *
 * active + inactive connections. The first one if several are equal. Weight 0 is quiesced.
 */
import { leastLoaded, overhead } from './least.ts';
import type { SchedulerFactory } from './scheduler.ts';

export const wlc: SchedulerFactory = ({ destinations }) => ({
  schedule: () => leastLoaded(destinations, overhead),
});

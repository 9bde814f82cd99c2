/** Converts the load of a machine to the share of its weight that it reports. */

/** Runnable tasks per processor up to which a machine reports its whole weight. */
const FULL_WEIGHT_TASKS = 0.5;
const FULL_WEIGHT_PERCENT = 100;

/**
 * Returns the percentage of the weight for a load average: 100 up to half a task per processor, then inversely
 * proportional: 50 at one task, 25 at two. Never 0, which would mean a broken server.
 */
export function percentOf(load: number, processors: number): number {
  const tasks = load / Math.max(1, processors);
  if (tasks <= FULL_WEIGHT_TASKS) return FULL_WEIGHT_PERCENT;
  return Math.max(1, Math.round((FULL_WEIGHT_PERCENT * FULL_WEIGHT_TASKS) / tasks));
}

/** How busy a machine is, as the share of its weight that it asks for. */

/** Runnable tasks a processor up to which a machine takes its whole weight. */
const EASY = 0.5;
const ALL = 100;

/**
 * Percent of the weight for a load average: all up to half a task a processor, then less in proportion, half of it at
 * one task, a quarter at two. Never 0: a busy server is not a broken one.
 */
export function percentOf(load: number, processors: number): number {
  const tasks = load / Math.max(1, processors);
  return tasks <= EASY ? ALL : Math.max(1, Math.round((ALL * EASY) / tasks));
}

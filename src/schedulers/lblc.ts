/** Locality-based least-connection: one destination per virtual address, for transparent caches. */
import type { Destination } from '../model/destination.ts';
import { leastLoaded, overhead } from './least.ts';
import { Locality, listed } from './locality.ts';
import type { Scheduler, SchedulerContext, SchedulerFactory } from './scheduler.ts';

/** Reports whether a destination has more active connections than its weight, and another fewer than half its weight. */
export function isOvercrowded(destination: Destination, all: readonly Destination[]): boolean {
  if (destination.activeConnections <= destination.weight) return false;
  for (const other of all) if (other.activeConnections * 2 < other.weight) return true;
  return false;
}

export const lblc: SchedulerFactory = (context) => remembering(new Locality(), context);

function remembering(memory: Locality<Destination>, { destinations, settings }: SchedulerContext): Scheduler {
  const present = listed(destinations);
  return {
    schedule({ daddr, now }) {
      const known = memory.recall(daddr, now);
      // An address stays with a destination that exceeds its upper threshold (ip_vs_lblc.c).
      if (known && known.weight > 0 && present.has(known) && !isOvercrowded(known, destinations))
        return known;
      const least = leastLoaded(destinations, overhead);
      if (least) memory.remember(daddr, least, now);
      return least;
    },
    changed: present.changed,
    expire: (now) => memory.age(now, settings.lblc_expiration * 1000),
    fork(context, { daddr, now }, twinOf) {
      const known = memory.peek(daddr);
      const twin = new Locality<Destination>();
      if (known) twin.remember(daddr, twinOf(known), now);
      return remembering(twin, context);
    },
  };
}

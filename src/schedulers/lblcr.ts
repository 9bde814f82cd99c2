/** Locality-based least-connection with replication: a set of destinations per virtual address. */
import type { Destination } from '../model/destination.ts';
import { isOvercrowded } from './lblc.ts';
import { isEligible, isHeavier, leastLoaded, overhead } from './least.ts';
import { Locality, listed } from './locality.ts';
import type { Scheduler, SchedulerContext, SchedulerFactory } from './scheduler.ts';

/** The destinations that serve one virtual address. */
interface Replicas {
  /** Newest first. */
  readonly members: Destination[];
  /** When a member was last added or removed, ms. */
  changedAt: number;
}

export const lblcr: SchedulerFactory = (context) => remembering(new Locality(), context);

function remembering(memory: Locality<Replicas>, { destinations, settings }: SchedulerContext): Scheduler {
  const present = listed(destinations);

  const least = (members: readonly Destination[]): Destination | undefined => {
    let best: Destination | undefined;
    for (const member of members) {
      if (!isEligible(member) || !present.has(member)) continue;
      if (!best || isHeavier(overhead(best), best.weight, overhead(member), member.weight)) best = member;
    }
    return best;
  };
  const dropMostLoaded = (replicas: Replicas, now: number) => {
    let most: Destination | undefined;
    for (const member of replicas.members) {
      if (member.weight <= 0) continue;
      if (!most || isHeavier(overhead(member), member.weight, overhead(most), most.weight)) most = member;
    }
    if (!most) return;
    replicas.members.splice(replicas.members.indexOf(most), 1);
    replicas.changedAt = now;
  };

  return {
    schedule({ daddr, now }) {
      const replicas = memory.recall(daddr, now);
      if (replicas) {
        const member = least(replicas.members);
        const unchanged = now - replicas.changedAt > settings.lblcr_expiration * 1000;
        if (unchanged && replicas.members.length > 1) dropMostLoaded(replicas, now);
        if (member && !isOvercrowded(member, destinations)) return member;
      }
      const chosen = leastLoaded(destinations, overhead);
      if (!chosen) return undefined;
      if (!replicas) memory.remember(daddr, { members: [chosen], changedAt: now }, now);
      else if (!replicas.members.includes(chosen)) {
        replicas.members.unshift(chosen);
        replicas.changedAt = now;
      }
      return chosen;
    },
    changed: present.changed,
    expire: (now) => memory.age(now, settings.lblcr_expiration * 1000),
    fork(context, { daddr, now }, twinOf) {
      const known = memory.peek(daddr);
      const twin = new Locality<Replicas>();
      if (known)
        twin.remember(daddr, { members: known.members.map(twinOf), changedAt: known.changedAt }, now);
      return remembering(twin, context);
    },
  };
}

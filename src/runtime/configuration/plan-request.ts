/** Makes the copy of a director's state from which a reload is planned. */
import { type Rule, ruleOf } from '../../config/reload/applied-state.ts';
import type { Drain } from '../../config/reload/reconcile.ts';
import type { Director } from '../../director/director.ts';
import { Slice } from '../../model/slice.ts';
import type { ServiceSnapshot } from '../../model/snapshot.ts';
import type { Drains } from '../drains.ts';
import type { PlanRequest, ReadConfiguration } from './configuration-thread.ts';
import { Packing } from './packed.ts';

export interface PlannedFrom {
  readonly director: Director;
  /** Completes a service by what health checks, and servers that joined, have changed. */
  readonly complete: (service: ServiceSnapshot) => ServiceSnapshot;
  readonly drains: Drains;
  /** What was applied last. */
  readonly config: ReadConfiguration;
  /** ms of the director's clock. */
  readonly now: number;
}

/** Resolves with the copy. Works in slices. */
export async function planRequest({
  director,
  complete,
  drains,
  config,
  now,
}: PlannedFrom): Promise<PlanRequest> {
  const running = new Packing<Rule>();
  const draining = new Packing<Drain>();
  const slice = new Slice();
  for (const service of director.services(now)) {
    running.add(ruleOf(complete(service)));
    if (slice.spent) await slice.next();
  }
  for (const drain of drains.all) {
    draining.add(drain);
    if (slice.spent) await slice.next();
  }
  const { settings, timeouts, daemons } = director.summary(now);
  return {
    running: running.packed,
    snapshot: { settings, timeouts, daemons },
    commands: config.commands,
    draining: draining.packed,
  };
}

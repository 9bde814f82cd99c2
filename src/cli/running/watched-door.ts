/** The director's door with its health checks: they lower the weights on the way in, and are seen on the way out. */
import type { Watch } from '../../checks/watch.ts';
import type { DirectorDoor } from '../../control/door.ts';
import type { Candidate, Explanation } from '../../model/explanation.ts';
import type { ServiceAddress } from '../../model/service.ts';
import type { ServiceSnapshot } from '../../model/snapshot.ts';

/** `now`: the clock of the watch, ms. */
export function watchedDoor(door: DirectorDoor, watch: Watch, now: () => number): DirectorDoor {
  return {
    apply: (commands) => door.apply(watch.adjust(commands, now())),
    async snapshot(parts) {
      const snapshot = await door.snapshot(parts);
      return { ...snapshot, services: withChecks(snapshot.services, watch, now()) };
    },
    connections: () => door.connections(),
  };
}

/** The same services, each watched destination with what its checks found. */
export const withChecks = (
  services: readonly ServiceSnapshot[],
  watch: Watch,
  now: number,
): ServiceSnapshot[] =>
  services.map((each) => ({
    ...each,
    destinations: each.destinations.map((one) => {
      const check = watch.stateOf(each.service, one, now);
      return check ? { ...one, check } : one;
    }),
  }));

/** The same explanation; a destination that its check has taken out says that, not only that its weight is 0. */
export function explainedWithChecks(explanation: Explanation, watch: Watch, now: number): Explanation {
  let service: ServiceAddress | undefined;
  const checked = (it: Candidate): Candidate => {
    const check = service && it.weight === 0 ? watch.stateOf(service, it, now) : undefined;
    if (check?.state !== 'down' && check?.state !== 'drained') return it;
    return { ...it, why: `${check.state}: ${check.type} check: ${check.message}` };
  };
  const steps = explanation.steps.map((step) => {
    if (step.step === 'service') service = step.service;
    return step.step === 'scheduler' ? { ...step, candidates: step.candidates.map(checked) } : step;
  });
  return { ...explanation, steps };
}

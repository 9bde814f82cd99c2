/** Health checks of the running director: which destinations are checked, and what the results change. */
import { probes } from '../checks/probes.ts';
import { type HealthEvent, Watch, type Watched } from '../checks/watch.ts';
import { forwardedPort } from '../config/compile.ts';
import type { Document } from '../config/document.ts';
import type { DirectorDoor } from '../control/director-api.ts';
import type { Candidate, Explanation } from '../model/explanation.ts';
import { formatDestination, formatService } from '../model/naming.ts';
import type { ServiceAddress } from '../model/service.ts';
import type { ServiceSnapshot } from '../model/snapshot.ts';
import type { Log } from './log.ts';

/** `door`: the director's own; weights that checks lower change nothing for its host. */
export const healthWatch = ({ door, log }: { readonly door: DirectorDoor; readonly log: Log }): Watch =>
  new Watch({
    probe: (target, signal) => probes[target.check.type](target, signal),
    random: Math.random,
    apply: (commands) => void door.apply(commands),
    event: (event) => tell(event, log),
  });

/** A state that is another one is worth a warning where it is for the worse. */
function tell({ service, destination, from, to, weight, cause }: HealthEvent, log: Log): void {
  const level = to === 'down' && from !== 'down' ? 'warning' : 'info';
  const what = { service: formatService(service), destination: formatDestination(destination) };
  log(level, from === to ? 'check-weight' : `check-${to}`, { ...what, weight, cause });
}

/** A standby watches nothing, and what has no port to be asked at is not asked. */
export function watchedOf({ active, services }: Document): Watched[] {
  if (!active) return [];
  return services.flatMap((service) => {
    const { check } = service;
    if (!check) return [];
    return service.destinations.flatMap((each) => {
      const port = forwardedPort(service, each);
      if (port === 0 && check.port === undefined && check.type !== 'command') return [];
      const { address } = each.destination;
      return [{ service: service.service, destination: { address, port }, check }];
    });
  });
}

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

/** The health checks of a running director: which destinations are checked, and the effect of the results. */
import { probes } from '../checks/probes.ts';
import { type HealthEvent, Watch, type Watched } from '../checks/watch.ts';
import { forwardedPort } from '../config/compile.ts';
import type { Document } from '../config/document.ts';
import type { DirectorApi } from '../control/director-api.ts';
import { usesPort } from '../model/check.ts';
import type { Candidate, Explanation } from '../model/explanation.ts';
import { formatDestination, formatService } from '../model/naming.ts';
import type { ServiceAddress } from '../model/service.ts';
import type { ServiceSnapshot } from '../model/snapshot.ts';
import { areDescriptorsExhausted } from '../sys/descriptor-reserve.ts';
import type { Log } from './log.ts';

/**
 * Returns the health checks of a director. `api`: its plain API, because a changed weight requires no update of the
 * host.
 */
export const healthWatch = ({ api, log }: { readonly api: DirectorApi; readonly log: Log }): Watch =>
  new Watch({
    probe: (target, signal) => probes[target.check.type](target, signal),
    mayProbe: () => !areDescriptorsExhausted(),
    random: Math.random,
    apply: (commands) => void api.apply(commands),
    event: (event) => logHealth(event, log),
  });

/** Logs a change of health; a failure is a warning. */
function logHealth({ service, destination, from, to, weight, cause }: HealthEvent, log: Log): void {
  const level = to === 'down' && from !== 'down' ? 'warning' : 'info';
  const what = { service: formatService(service), destination: formatDestination(destination) };
  log(level, from === to ? 'check-weight' : `check-${to}`, { ...what, weight, cause });
}

/** Returns the destinations that a document checks: none on a standby, and none without a port to check. */
export function watchedOf({ active, services }: Document): Watched[] {
  if (!active) return [];
  return services.flatMap((service) =>
    service.destinations.flatMap((each) => {
      const { check } = each;
      const port = forwardedPort(service, each);
      if (!check || (port === 0 && check.port === undefined && usesPort(check))) return [];
      const { address } = each.destination;
      return [{ service: service.service, destination: { address, port }, check }];
    }),
  );
}

/** Returns a service with the results of the checks of its destinations. `now`: ms of the clock of the watch. */
export const withChecks = (each: ServiceSnapshot, watch: Watch, now: number): ServiceSnapshot => ({
  ...each,
  destinations: each.destinations.map((one) => {
    const check = watch.stateOf(each.service, one, now);
    return check ? { ...one, check } : one;
  }),
});

/** Returns an explanation in which a destination of weight 0 names the health check that caused it. */
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

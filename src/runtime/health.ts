/** The health checks of a running director: which destinations are checked, and the effect of the results. */
import type { Member, ServiceEvent } from '../checks/members.ts';
import type { Notifier } from '../checks/notifier.ts';
import { hasQuorum, type Policy } from '../checks/policy.ts';
import { probes } from '../checks/probes.ts';
import { type HealthEvent, Watch, type Watched } from '../checks/watch.ts';
import { forwardedTo } from '../config/compile.ts';
import { DEFAULT_QUORUM, type Document } from '../config/document.ts';
import type { DirectorApi } from '../control/director-api.ts';
import { type Check, type CheckSnapshot, usesPort } from '../model/check.ts';
import type { Command } from '../model/command.ts';
import type { DestinationAddress } from '../model/destination.ts';
import { LvsError } from '../model/errors.ts';
import type { Candidate, Explanation } from '../model/explanation.ts';
import { formatDestination, formatService } from '../model/naming.ts';
import type { ServiceAddress } from '../model/service.ts';
import type { DestinationSnapshot, ServiceSnapshot, Traffic } from '../model/snapshot.ts';
import { areDescriptorsExhausted } from '../sys/descriptor-reserve.ts';
import type { CheckUsers } from './configuration/configuration.ts';
import type { ConfiguredNames } from './configuration/configured-names.ts';
import type { Log } from './log.ts';
import { notifyDestination, notifyService } from './notify.ts';

export interface HealthOptions {
  /** The director's plain API: a changed weight requires no update of the host. */
  readonly api: DirectorApi;
  /** Updates the host, too: for destinations that are added or removed. */
  readonly guarded: DirectorApi;
  /** Runs the programs of the configuration. */
  readonly notifier: Notifier;
  readonly names: ConfiguredNames;
  readonly log: Log;
}

/** Returns the health checks of a director. */
export function healthWatch({ api, guarded, notifier, names, log }: HealthOptions): Watch {
  /** Updates that have not ended: later ones follow them, so that the order remains. */
  let pending: Promise<void> | undefined;
  const update = async (commands: readonly Command[], before: Promise<void> | undefined) => {
    await before;
    try {
      const failed = (await guarded.apply(commands)).find((outcome) => outcome !== undefined);
      if (failed) log('warning', 'check-update-failed', { error: failed.message });
    } catch (error) {
      if (!(error instanceof LvsError)) throw error;
      log('error', 'check-update-failed', { error: error.message });
    }
  };
  const watch: Watch = new Watch({
    probe: (target, signal) => probes[target.check.type](target, signal),
    mayProbe: () => !areDescriptorsExhausted(),
    random: Math.random,
    apply(commands) {
      if (!pending && commands.every(({ op }) => op === 'edit-destination')) return void api.apply(commands);
      const updating = update(commands, pending).finally(() => {
        if (pending === updating) pending = undefined;
      });
      pending = updating;
    },
    event(event) {
      logHealth(event, log);
      notifyDestination(notifier, event, watch.policyOf(event.service), names);
    },
    serviceEvent(event) {
      logQuorum(event, log);
      notifyService(notifier, event, names);
    },
  });
  return watch;
}

/** Logs a lost quorum as a warning, and one that is gained again. */
function logQuorum({ service, event, weight, policy, isFirst }: ServiceEvent, log: Log): void {
  if (!hasQuorum(policy)) return;
  const { quorum, sorry } = policy;
  const names = sorry.map(({ destination }) => formatDestination(destination));
  const fields = { service: formatService(service), weight, quorum };
  const all = names.length > 0 ? { ...fields, sorry: names.join(' ') } : fields;
  if (event === 'quorum-down') log('warning', 'quorum-lost', all);
  else if (event === 'quorum-up' && !isFirst) log('info', 'quorum-gained', all);
}

/** Logs a change of health; a failure is a warning. */
function logHealth({ service, destination, from, to, weight, cause }: HealthEvent, log: Log): void {
  const level = to === 'down' && from !== 'down' ? 'warning' : 'info';
  const what = { service: formatService(service), destination: formatDestination(destination) };
  log(level, from === to ? 'check-weight' : `check-${to}`, { ...what, weight, cause });
}

/**
 * Returns the destinations that a document checks: none on a standby, and none without a port to check. `users`: ids by the
 * users of its commands.
 */
export function watchedOf({ active, services }: Document, users: CheckUsers = {}): Watched[] {
  if (!active) return [];
  return services.flatMap((service) =>
    [...service.destinations, ...(service.sorry ?? [])].flatMap((each) => {
      const destination = forwardedTo(service, each);
      const checks = checksFor(destination, withIds(each.checks ?? [], users));
      return checks.length === 0 ? [] : [{ service: service.service, destination, checks }];
    }),
  );
}

/** Returns checks with the ids of the users of their commands. */
export const withIds = (checks: readonly Check[], users: CheckUsers): Check[] =>
  checks.map((check) => (check.user === undefined ? check : { ...check, ids: users[check.user]! }));

/** Returns the checks that a destination can have: those of a port need one. */
export const checksFor = ({ port }: DestinationAddress, checks: readonly Check[]): Check[] =>
  checks.filter((check) => port !== 0 || check.port !== undefined || !usesPort(check));

/** Returns the policies of services that differ from those of services without one. */
export function policiesOf({ active, services }: Document): Policy[] {
  if (!active) return [];
  return services.flatMap((service) => {
    const { quorum, notify, sorry = [] } = service;
    const all = [...service.destinations, ...sorry];
    const own = all.flatMap((each) =>
      each.notify ? [[formatDestination(forwardedTo(service, each)), each.notify] as const] : [],
    );
    const removes = service.destinations.filter(({ inhibit }) => inhibit === false);
    if (!quorum && !notify && sorry.length + removes.length + own.length === 0) return [];
    return [
      {
        service: service.service,
        quorum: quorum?.weight ?? DEFAULT_QUORUM,
        hysteresis: quorum?.hysteresis ?? 0,
        sorry: sorry.map((each) => ({
          ...{ destination: forwardedTo(service, each), options: each.options },
          inhibit: each.inhibit ?? false,
        })),
        removes: new Set(removes.map((each) => formatDestination(forwardedTo(service, each)))),
        ...(notify && { notify }),
        ...(own.length > 0 && { destinationNotify: new Map(own) }),
      },
    ];
  });
}

/**
 * Returns a service with the results of the checks of its destinations, its quorum, and the destinations that are not
 * in the rules now. `now`: ms of the clock of the watch.
 */
export function withChecks(each: ServiceSnapshot, watch: Watch, now: number): ServiceSnapshot {
  const { service } = each;
  const members = new Map(
    [...watch.members(service)].map((one) => [formatDestination(one.destination), one]),
  );
  const quorum = watch.quorumOf(service);
  const completed = (one: DestinationSnapshot): DestinationSnapshot => {
    const member = members.get(formatDestination(one));
    members.delete(formatDestination(one));
    return member ? withMember(one, member, watch, watch.stateOf(service, one, now)) : one;
  };
  const present = each.destinations.map(completed);
  const removed = [...members.values()]
    .filter(({ isPresent }) => !isPresent)
    .map((member) =>
      withMember(absent(member), member, watch, watch.stateOf(service, member.destination, now)),
    );
  return { ...each, destinations: [...present, ...removed], ...(quorum && { quorum }) };
}

function withMember(
  one: DestinationSnapshot,
  { options, isSorry, isPresent }: Member,
  { drained }: Watch,
  check: CheckSnapshot | undefined,
): DestinationSnapshot {
  const weight = options.weight ?? 1;
  return {
    ...one,
    ...(!check && weight !== one.weight && { configuredWeight: weight }),
    ...(isSorry && { sorry: true }),
    ...(!isPresent && { removed: true }),
    ...(drained.has(one) && { drained: true }),
    ...(check && { check }),
  };
}

const NO_TRAFFIC: Traffic = { connections: 0, inPackets: 0, outPackets: 0, inOctets: 0, outOctets: 0 };

/** Returns a destination that the rules do not contain now. */
const absent = ({ destination, options }: Member): DestinationSnapshot => ({
  ...destination,
  method: options.method,
  tunnel: options.tunnel ?? { type: 'ipip', port: 0, checksum: 'none' },
  weight: 0,
  upperThreshold: options.upperThreshold ?? 0,
  lowerThreshold: options.lowerThreshold ?? 0,
  ...{ activeConnections: 0, inactiveConnections: 0, persistentConnections: 0 },
  ...{ overloaded: false, stats: NO_TRAFFIC, rates: NO_TRAFFIC },
});

/** Returns an explanation in which a destination of weight 0 names the health check that caused it. */
export function explainedWithChecks(explanation: Explanation, watch: Watch, now: number): Explanation {
  let service: ServiceAddress | undefined;
  const checked = (it: Candidate): Candidate => {
    if (!service || it.weight > 0) return it;
    const check = watch.stateOf(service, it, now);
    if (check?.state === 'down' || check?.state === 'drained')
      return { ...it, why: `${check.state}: ${check.type} check: ${check.message}` };
    if (watch.drained.has(it)) return { ...it, why: 'drained by command (lvs-director undrain)' };
    const member = watch.member(service, it);
    const quorum = watch.quorumOf(service);
    if (member?.isSorry) return { ...it, why: 'sorry server: used when the quorum is lost' };
    if (quorum?.lost && (member?.options.weight ?? 1) > 0)
      return { ...it, why: `quorum lost: ${quorum.weight} of ${quorum.quorum}; sorry servers are used` };
    return it;
  };
  const steps = explanation.steps.map((step) => {
    if (step.step === 'service') service = step.service;
    return step.step === 'scheduler' ? { ...step, candidates: step.candidates.map(checked) } : step;
  });
  return { ...explanation, steps };
}

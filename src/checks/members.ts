/**
 * The destinations of services as the director has them, and as health, quorum and sorry servers require them. Uses no
 * clock and no sockets.
 */
import type { Command } from '../model/command.ts';
import type { DestinationAddress, DestinationOptions } from '../model/destination.ts';
import { formatDestination, formatService } from '../model/naming.ts';
import type { NotifyEvent } from '../model/notify.ts';
import type { ServiceAddress } from '../model/service.ts';
import type { QuorumSnapshot } from '../model/snapshot.ts';
import type { Health } from './health.ts';
import { hasQuorum, isQuorumLost, type Policy, type SorryServer } from './policy.ts';

/** A destination of the director, or a sorry server. */
export interface Member {
  readonly destination: DestinationAddress;
  /** The options of the command that added or edited it. */
  readonly options: DestinationOptions;
  readonly isSorry: boolean;
  /** The weight that is set in the director. */
  readonly weight: number;
  /** False: the director does not have it now. */
  readonly isPresent: boolean;
}

interface Service {
  readonly service: ServiceAddress;
  /** By endpoint. */
  readonly members: Map<string, Member>;
  /** Undefined before the first decision. */
  isLost?: boolean;
  /** No destination is up; undefined before the first decision. */
  isDown?: boolean;
  /** Sum of weights at the last decision. */
  sum: number;
}

/** A change of a service: of its quorum, or whether any of its destinations is up. */
export interface ServiceEvent {
  readonly service: ServiceAddress;
  readonly event: Exclude<NotifyEvent, 'destination-up' | 'destination-down'>;
  /** Sum of the weights of the destinations that are up. */
  readonly weight: number;
  readonly policy: Policy;
  /** Whether nothing was decided before, as after a start: what was never lost is reported then, too. */
  readonly isFirst: boolean;
}

export interface MembersOptions {
  /** Returns the health of a destination; undefined without a check. */
  readonly healthOf: (service: ServiceAddress, destination: DestinationAddress) => Health | undefined;
  /** Reports whether an operator has drained the server of a destination. */
  readonly isDrained: (destination: DestinationAddress) => boolean;
  readonly apply: (commands: readonly Command[]) => void;
  readonly event: (event: ServiceEvent) => void;
}

export class Members {
  readonly #options: MembersOptions;
  /** The services of the director. */
  readonly #services = new Map<string, Service>();
  #policies = new Map<string, Policy>();
  /** Services with a policy that commands have changed since the last update. */
  readonly #changed = new Set<string>();

  constructor(options: MembersOptions) {
    this.#options = options;
  }

  /** Replaces the policies. Returns commands that remove sorry servers that no policy has any more. */
  setPolicies(policies: Iterable<Policy>): Command[] {
    this.#policies = new Map([...policies].map((each) => [formatService(each.service), each]));
    const commands: Command[] = [];
    for (const [key, { service, members }] of this.#services) {
      const sorry = new Map((this.#policies.get(key)?.sorry ?? []).map((each) => [nameOf(each), each]));
      if (this.#policies.has(key)) this.#changed.add(key);
      for (const [name, member] of members) {
        if (!member.isSorry || sorry.has(name)) continue;
        members.delete(name);
        if (member.isPresent) commands.push(deletionOf(service, member));
      }
    }
    return commands;
  }

  find(service: ServiceAddress, destination: DestinationAddress): Member | undefined {
    return this.#services.get(formatService(service))?.members.get(formatDestination(destination));
  }

  /** Makes a destination known that another process has left with `weight`. `options`: as configured. */
  resume(
    service: ServiceAddress,
    destination: DestinationAddress,
    options: DestinationOptions,
    weight: number,
  ): void {
    const key = formatService(service);
    const name = formatDestination(destination);
    const isSorry = this.#policies.get(key)?.sorry.some((each) => nameOf(each) === name) ?? false;
    this.#serviceOf(service).members.set(name, { destination, options, isSorry, weight, isPresent: true });
    if (this.#policies.has(key)) this.#changed.add(key);
  }

  /** Yields the members of a service. */
  *of(service: ServiceAddress): Generator<Member> {
    yield* this.#services.get(formatService(service))?.members.values() ?? [];
  }

  policyOf(service: ServiceAddress): Policy | undefined {
    return this.#policies.get(formatService(service));
  }

  /** Returns the quorum of a service that has one in its configuration. */
  quorumOf(service: ServiceAddress): QuorumSnapshot | undefined {
    const key = formatService(service);
    const [policy, known] = [this.#policies.get(key), this.#services.get(key)];
    if (!policy || !known) return undefined;
    const { quorum, hysteresis } = policy;
    if (!hasQuorum(policy)) return undefined;
    return { quorum, hysteresis, weight: known.sum, lost: known.isLost ?? false };
  }

  /**
   * Returns a command with the weight that health and quorum allow; undefined: the director does not get it now.
   * Records the configured options. Call it before applying a command.
   */
  adjust(command: Command, now: number): Command | undefined {
    if (!('service' in command)) {
      if (command.op === 'flush') this.#services.clear();
      return command;
    }
    const key = formatService(command.service);
    if (this.#policies.has(key)) this.#changed.add(key);
    switch (command.op) {
      case 'add-service':
        this.#serviceOf(command.service);
        return command;
      case 'delete-service':
        this.#services.delete(key);
        return command;
      case 'add-destination':
      case 'edit-destination': {
        const { members } = this.#serviceOf(command.service);
        const name = formatDestination(command.destination);
        const before = members.get(name);
        const { destination, options } = command;
        const given: Member = {
          ...{ destination, options, weight: 0, isPresent: true },
          isSorry: before?.isSorry ?? false,
        };
        const member = { ...given, ...this.#wanted(key, given, now) };
        members.set(name, member);
        if (!member.isPresent) return before?.isPresent ? deletionOf(command.service, member) : undefined;
        const op = before && !before.isPresent ? 'add-destination' : command.op;
        if (op === command.op && member.weight === (options.weight ?? 1)) return command;
        return { ...command, op, options: { ...options, weight: member.weight } };
      }
      case 'delete-destination': {
        const members = this.#services.get(key)?.members;
        const name = formatDestination(command.destination);
        const isAbsent = members?.get(name)?.isPresent === false;
        members?.delete(name);
        return isAbsent ? undefined : command;
      }
      default:
        return command;
    }
  }

  /** Applies what health now requires of a destination, and what its service requires if it has a policy. */
  update(service: ServiceAddress, destination: DestinationAddress, now: number): void {
    const key = formatService(service);
    const known = this.#services.get(key);
    if (!known) return;
    if (this.#policies.has(key)) {
      this.#updateService(key, known, now);
      return;
    }
    const member = known.members.get(formatDestination(destination));
    if (member) this.#apply(this.#changes(key, known, [member], now));
  }

  /** Applies what is required of the destinations that `isAffected` names, and of their services. */
  refresh(isAffected: (destination: DestinationAddress) => boolean, now: number): void {
    for (const [key, known] of this.#services) {
      const affected = [...known.members.values()].filter(({ destination }) => isAffected(destination));
      if (affected.length === 0) continue;
      if (this.#policies.has(key)) this.#updateService(key, known, now);
      else this.#apply(this.#changes(key, known, affected, now));
    }
  }

  /** Yields every member with its service. */
  *all(): Generator<Member & { readonly service: ServiceAddress }> {
    for (const { service, members } of this.#services.values())
      for (const member of members.values()) yield { ...member, service };
  }

  /** Applies what the policies require of services that commands have changed. */
  updateChanged(now: number): void {
    for (const key of this.#changed) {
      const known = this.#services.get(key);
      if (known) this.#updateService(key, known, now);
    }
    this.#changed.clear();
  }

  /** Commands that give destinations their configured weight, as if these had no check any more. */
  released(service: ServiceAddress, destination: DestinationAddress): Command[] {
    const known = this.#services.get(formatService(service));
    const name = formatDestination(destination);
    const member = known?.members.get(name);
    const weight = member && !this.#options.isDrained(destination) ? (member.options.weight ?? 1) : 0;
    if (!member || member.isSorry || (member.isPresent && member.weight === weight)) return [];
    const released = { ...member, weight, isPresent: true };
    known!.members.set(name, released);
    return [changeOf(service, member, released)];
  }

  #serviceOf(service: ServiceAddress): Service {
    const key = formatService(service);
    const known = this.#services.get(key) ?? { service, members: new Map(), sum: 0 };
    this.#services.set(key, known);
    return known;
  }

  #updateService(key: string, known: Service, now: number): void {
    const policy = this.#policies.get(key);
    if (!policy) return;
    const { service, members } = known;
    for (const { destination, options } of policy.sorry) {
      const name = formatDestination(destination);
      if (!members.has(name))
        members.set(name, { destination, options, isSorry: true, weight: 0, isPresent: false });
    }
    known.sum = this.#sumOf(known, now);
    const isLost = isQuorumLost(known.sum, policy, known.isLost);
    const isDown = known.sum === 0;
    const isFirst = known.isLost === undefined;
    const hasChanged = {
      quorum: isLost !== known.isLost,
      service: isDown !== known.isDown,
    };
    Object.assign(known, { isLost, isDown });
    this.#apply(this.#changes(key, known, [...members.values()], now));
    const report = (event: ServiceEvent['event']) =>
      this.#options.event({ service, event, weight: known.sum, policy, isFirst });
    if (hasChanged.service) report(isDown ? 'service-down' : 'service-up');
    if (hasChanged.quorum) report(isLost ? 'quorum-down' : 'quorum-up');
  }

  /** Returns the sum of the configured weights of the destinations that are up and not drained. */
  #sumOf({ service, members }: Service, now: number): number {
    let sum = 0;
    for (const { destination, options, isSorry } of members.values()) {
      const weight = options.weight ?? 1;
      const health = this.#options.healthOf(service, destination);
      const isUsable = !this.#options.isDrained(destination) && (!health || health.weight(weight, now) > 0);
      if (!isSorry && isUsable) sum += health ? health.fullWeight(weight) : weight;
    }
    return sum;
  }

  /** Records and returns the changes of members. What receives connections comes first. */
  #changes(key: string, { service, members }: Service, of: readonly Member[], now: number): Command[] {
    const commands: Command[] = [];
    for (const before of of) {
      const after = { ...before, ...this.#wanted(key, before, now) };
      if (after.weight === before.weight && after.isPresent === before.isPresent) continue;
      members.set(formatDestination(before.destination), after);
      const command = changeOf(service, before, after);
      if (after.weight > 0) commands.unshift(command);
      else commands.push(command);
    }
    return commands;
  }

  #apply(commands: readonly Command[]): void {
    if (commands.length > 0) this.#options.apply(commands);
  }

  #wanted(key: string, member: Member, now: number): Pick<Member, 'weight' | 'isPresent'> {
    const { destination, options, isSorry } = member;
    const policy = this.#policies.get(key);
    const known = this.#services.get(key);
    const health = known && this.#options.healthOf(known.service, destination);
    const configured = options.weight ?? 1;
    const isReplaced = known?.isLost === true && this.#hasSorry(known, policy);
    const isUsed = isSorry ? known?.isLost === true : !isReplaced;
    const isUnweighted = !isUsed || this.#options.isDrained(destination);
    const weight = isUnweighted ? 0 : health ? health.weight(configured, now) : configured;
    const isOut = !isUsed || health?.state === 'down';
    return { weight, isPresent: !isOut || this.#keeps(policy, member) };
  }

  /** Reports whether a sorry server of a service takes connections. */
  #hasSorry({ service }: Service, policy: Policy | undefined): boolean {
    return (policy?.sorry ?? []).some(
      ({ destination }) =>
        this.#options.healthOf(service, destination)?.state !== 'down' &&
        !this.#options.isDrained(destination),
    );
  }

  /** Reports whether a member that is out of service stays in the rules, with weight 0. */
  #keeps(policy: Policy | undefined, { destination, isSorry }: Member): boolean {
    const name = formatDestination(destination);
    if (isSorry) return policy?.sorry.find((each) => nameOf(each) === name)?.inhibit ?? false;
    return !policy?.removes.has(name);
  }
}

const nameOf = ({ destination }: SorryServer): string => formatDestination(destination);

const deletionOf = (service: ServiceAddress, { destination }: Member): Command => ({
  op: 'delete-destination',
  service,
  destination,
});

function changeOf(service: ServiceAddress, before: Member, after: Member): Command {
  if (!after.isPresent) return deletionOf(service, after);
  const { destination, options, weight } = after;
  const op = before.isPresent ? 'edit-destination' : 'add-destination';
  return { op, service, destination, options: { ...options, weight } };
}

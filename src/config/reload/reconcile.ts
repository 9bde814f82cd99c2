/**
 * Computes the minimal steps from the running rules to those of a document; connections of unchanged rules
 * are not affected.
 */
import type { Command } from '../../model/command.ts';
import type { DestinationAddress, DestinationOptions } from '../../model/destination.ts';
import { formatDestination, formatService } from '../../model/naming.ts';
import type { ServiceAddress, ServiceOptions } from '../../model/service.ts';
import { compile, compileService } from '../compile.ts';
import type { Document, ServiceDocument } from '../document.ts';
import { appliedOf, type Rule, type RuleDestination } from './applied-state.ts';

/**
 * A destination, or a service whose destinations are drained, that is removed when its connections have
 * ended.
 */
export interface Drain {
  readonly service: ServiceAddress;
  /** Missing: the service itself. */
  readonly destination?: DestinationAddress;
}

export interface Reconciliation {
  /** Commands to execute immediately, in this order. */
  readonly commands: readonly Command[];
  /** Objects to remove when idle, or after the document's drain time; the commands quiesce them. */
  readonly drains: readonly Drain[];
  /** Rules that were changed manually, as text; kept or replaced according to `adopt`. */
  readonly manualChanges: readonly string[];
}

/**
 * `running`: the director's rules; `wanted`: the new document; `previous`: the rules of the previous
 * document. A running rule that no document has was added manually.
 */
export function reconcile(
  running: readonly Rule[],
  wanted: Document,
  previous: readonly Rule[] = [],
): Reconciliation {
  const byKey = (rules: readonly Rule[]) => new Map(rules.map((each) => [formatService(each.service), each]));
  const before = byKey(previous);
  const after = byKey(appliedOf(compile(wanted)).rules);
  const documents = new Map(wanted.services.map((each) => [formatService(each.service), each]));
  const result = new Steps(wanted.adopt === 'replace');

  const gone: Rule[] = [];
  for (const rule of running) {
    const key = formatService(rule.service);
    const want = after.get(key);
    after.delete(key);
    if (want) result.change(rule, want, before.get(key));
    else gone.push(rule);
  }
  for (const key of after.keys()) result.addService(documents.get(key)!);
  for (const rule of gone)
    if (before.has(formatService(rule.service))) result.removeService(rule);
    else result.handmadeService(rule);
  return result;
}

type EditDestination = Extract<Command, { readonly options: DestinationOptions }> & {
  readonly op: 'edit-destination';
};

class Steps implements Reconciliation {
  readonly commands: Command[] = [];
  readonly drains: Drain[] = [];
  readonly manualChanges: string[] = [];
  readonly #replace: boolean;

  constructor(replace: boolean) {
    this.#replace = replace;
  }

  addService(service: ServiceDocument): void {
    this.commands.push(...compileService(service));
  }

  change(rule: Rule, want: Rule, before: Rule | undefined): void {
    const { service } = rule;
    if (!this.#keeps(service, rule.options, want.options, before?.options, sameService))
      this.commands.push({ op: 'edit-service', service, options: want.options });
    const wanted = new Map(want.destinations.map((each) => [formatDestination(each), each]));
    const known = new Map((before?.destinations ?? []).map((each) => [formatDestination(each), each]));
    // Packets are forwarded between the commands: what takes connections comes before what takes none any more.
    const edits: EditDestination[] = [];
    const removed: RuleDestination[] = [];
    for (const running of rule.destinations) {
      const key = formatDestination(running);
      const one = wanted.get(key);
      wanted.delete(key);
      if (!one) {
        if (running.isJoined) continue;
        if (known.has(key) || this.#replace) removed.push(running);
        if (!known.has(key))
          this.manualChanges.push(`${formatService(service)}: destination ${key} is not in the file`);
        continue;
      }
      const written = running.isJoined ? running.options : known.get(key)?.options;
      if (this.#keeps(service, running.options, one.options, written, sameDestination, key)) continue;
      const { options: next } = one;
      edits.push({ op: 'edit-destination', service, destination: addressOf(one), options: next });
    }
    this.commands.push(...edits.filter(({ options }) => options.weight !== 0));
    for (const one of wanted.values())
      this.commands.push({
        op: 'add-destination',
        service,
        destination: addressOf(one),
        options: one.options,
      });
    this.commands.push(...edits.filter(({ options }) => options.weight === 0));
    for (const each of removed) this.#drain(rule, each);
  }

  removeService(rule: Rule): void {
    for (const each of rule.destinations) if (!each.isJoined) this.#drain(rule, each);
    this.drains.push({ service: rule.service });
  }

  handmadeService(rule: Rule): void {
    this.manualChanges.push(`${formatService(rule.service)} is not in the file`);
    if (this.#replace) this.removeService(rule);
  }

  /**
   * Reports whether the running options are kept: they are the wanted ones, or were changed manually and the
   * file keeps such changes.
   */
  #keeps<T>(
    service: ServiceAddress,
    running: T,
    wanted: T,
    before: T | undefined,
    same: (a: T, b: T) => boolean,
    destination?: string,
  ): boolean {
    if (same(running, wanted)) return true;
    const handmade = before !== undefined && !same(running, before);
    if (!handmade) return false;
    this.manualChanges.push(
      `${formatService(service)}${destination ? `: destination ${destination}` : ''} was changed with ipvsadm`,
    );
    return !this.#replace && same(before, wanted);
  }

  #drain({ service }: Rule, destination: RuleDestination): void {
    const { options } = destination;
    if ((options.weight ?? 1) !== 0)
      this.commands.push({
        op: 'edit-destination',
        service,
        destination: addressOf(destination),
        options: { ...options, weight: 0 },
      });
    this.drains.push({ service, destination: addressOf(destination) });
  }
}

const addressOf = ({ address, port }: RuleDestination): DestinationAddress => ({ address, port });

const sameService = (a: ServiceOptions, b: ServiceOptions): boolean =>
  a.scheduler === b.scheduler &&
  (a.schedulerFlags ?? 0) === (b.schedulerFlags ?? 0) &&
  (a.persistent ?? 0) === (b.persistent ?? 0) &&
  (!a.persistent || prefixOf(a) === prefixOf(b)) &&
  (a.engine ?? '') === (b.engine ?? '') &&
  (a.ops ?? false) === (b.ops ?? false) &&
  (a.helper === 'none') === (b.helper === 'none');

/** Prefix lengths 32 and 128 both mean the whole address. */
const prefixOf = ({ persistencePrefix }: ServiceOptions): number =>
  persistencePrefix === 32 ? 128 : (persistencePrefix ?? 128);

const sameDestination = (a: DestinationOptions, b: DestinationOptions): boolean =>
  a.method === b.method &&
  (a.weight ?? 1) === (b.weight ?? 1) &&
  (a.upperThreshold ?? 0) === (b.upperThreshold ?? 0) &&
  (a.lowerThreshold ?? 0) === (b.lowerThreshold ?? 0) &&
  (a.method !== 'tunnel' || sameTunnel(a, b));

function sameTunnel(a: DestinationOptions, b: DestinationOptions): boolean {
  const [one, other] = [a.tunnel ?? IPIP, b.tunnel ?? IPIP];
  return one.type === other.type && one.port === other.port && one.checksum === other.checksum;
}

const IPIP = { type: 'ipip', port: 0, checksum: 'none' } as const;

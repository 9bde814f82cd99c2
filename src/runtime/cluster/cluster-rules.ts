/** Rules that `ipvsadm` changes on one director of a cluster, and that all get: one value in etcd, changed by transactions. */
import { randomUUID } from 'node:crypto';
import { MAX_OVERLAY_BYTES, type Overlay, overlayOf, overlayText } from '../../cluster/overlay.ts';
import { pointerOf } from '../../cluster/records.ts';
import { isCommand } from '../../control/command-shape.ts';
import type { DirectorApi, Outcome } from '../../control/director-api.ts';
import type { Director } from '../../director/director.ts';
import type { KeyValue } from '../../etcd/answers.ts';
import { EtcdError } from '../../etcd/etcd-error.ts';
import type { Command } from '../../model/command.ts';
import type { DestinationAddress } from '../../model/destination.ts';
import { LvsError } from '../../model/errors.ts';
import { formatRule } from '../../model/naming.ts';
import type { ServiceAddress } from '../../model/service.ts';
import type { ReadConfiguration } from '../configuration/configuration-thread.ts';
import { type Packed, unpacked } from '../configuration/packed.ts';
import type { Drains } from '../drains.ts';
import { localApi } from '../local-director.ts';
import type { ClusterAccess } from './cluster-access.ts';
import { changes, type Rules, rulesDirector, rulesOf, stepsOver } from './computed-rules.ts';

/** Attempts of a change that others overtake. */
const MAX_ATTEMPTS = 20;
/** ms for which the change may take to be in effect on this director. */
const EFFECT_MS = 10_000;

/** Commands that change the rules of all directors. The others concern one director. */
const SHARED: ReadonlySet<Command['op']> = new Set([
  ...(['add-service', 'edit-service', 'delete-service', 'flush', 'set-timeouts'] as const),
  ...(['add-destination', 'edit-destination', 'delete-destination'] as const),
]);

/** Rules that this director has written to etcd, so that they need not be computed again for the next change. */
interface Written {
  readonly value: string;
  readonly overlay: Overlay;
  /** The configuration below. */
  readonly config: ReadConfiguration;
  readonly base: Rules;
  /** A director with these rules. */
  readonly director: Director;
  readonly target: Rules;
}

export interface ClusterRulesOptions {
  readonly access: ClusterAccess;
  /** Changes this director. */
  readonly api: Pick<DirectorApi, 'apply'>;
  /** Resolves with the rules of this director as they are configured, without the effect of health checks. */
  readonly running: () => Promise<Rules>;
  readonly drains: () => Pick<Drains, 'all' | 'end'>;
  /** The generation in effect, and its configuration. */
  readonly generation: () => number;
  readonly config: () => ReadConfiguration;
  /** Keeps the rules for a start without etcd. */
  readonly save: (value: string | undefined) => void;
  /** Reports whether this director is evicted. */
  readonly isEvicted: () => boolean;
  /** Reports whether the destination is one that has joined. */
  readonly isJoined: (service: ServiceAddress, destination: DestinationAddress) => boolean;
}

export class ClusterRules {
  readonly #options: ClusterRulesOptions;
  /** The revision of etcd up to which the rules are in effect here. */
  #revision = 0;
  /** The last revision with an invalid value. */
  #invalid = -1;
  #isWhole = false;
  #target: Rules | undefined;
  /** What ipvsadm has changed, from the copy at first. */
  #overlay: Overlay | undefined;
  /** What this director has written last. */
  #written: Written | undefined;
  readonly #waiting = new Set<() => void>();

  constructor(options: ClusterRulesOptions) {
    this.#options = options;
  }

  /** Takes the rules of the copy on this host. */
  load(overlay: Overlay | undefined): void {
    this.#overlay = overlay;
  }

  /** Puts these rules into effect. Call it before packets are forwarded. */
  async restore(): Promise<void> {
    const commands = this.#effective(this.#overlay);
    if (commands.length > 0) await this.#effect(commands, true);
  }

  /** Returns the steps of a reload that lead to the rules over `wanted`: a server that ipvsadm has removed is not added for a moment. */
  async steps(planned: Packed<Command>, wanted: ReadConfiguration): Promise<Packed<Command>> {
    const overlay = this.#overlay;
    const isOver = wanted.adopt === 'replace' && wanted.digest !== this.#options.config().digest;
    if (!overlay || isOver || planned.length === 0) return planned;
    const { director, base } = await this.#director(this.#effective(overlay), wanted);
    return await stepsOver(planned, await changes(base, await rulesOf(director)));
  }

  /** Puts the rules of etcd into effect; `stored` undefined: there are none. Invalid ones change nothing: returns false. */
  async update(stored: KeyValue | undefined): Promise<boolean> {
    const revision = stored?.modRevision ?? 0;
    if (revision === this.#revision && this.#isWhole) return true;
    if (revision === this.#invalid) return false;
    const known = this.#known(stored);
    const overlay = known?.overlay ?? (stored && (await overlayOf(stored.value, isCommand)));
    if (stored && !overlay) {
      this.#invalid = revision;
      return false;
    }
    this.#overlay = overlay;
    const wasWhole = this.#isWhole;
    // A generation that is applied meanwhile requires another update.
    this.#isWhole = true;
    try {
      await this.#effect(this.#effective(overlay), !wasWhole, known?.target);
    } catch (error) {
      this.#isWhole = false;
      throw error;
    }
    this.#revision = revision;
    this.#options.save(stored?.value.toString());
    if (stored && overlay && this.#isOver(overlay)) await this.#remove(stored);
    for (const each of this.#waiting) each();
    return true;
  }

  /** Returns what this director has written if that is the stored value, and the configuration is the same. */
  #known(stored: KeyValue | undefined): Written | undefined {
    const written = this.#written;
    const { config, generation } = this.#options;
    if (!stored || !written || written.config !== config()) return undefined;
    const isSame = written.overlay.generation === generation() && written.value === stored.value.toString();
    return isSame ? written : undefined;
  }

  /** A generation was applied: the rules over it are to be computed again. */
  reapply(): void {
    this.#isWhole = false;
  }

  /** Changes the rules of all directors, and resolves when they are in effect on this one. Throws LvsError UNAVAILABLE. */
  async apply(commands: readonly Command[]): Promise<readonly Outcome[]> {
    const outcomes: Outcome[] = [];
    // Commands of one kind follow each other.
    for (let from = 0; from < commands.length; ) {
      const isShared = this.#isShared(commands[from]!);
      let to = from;
      while (to < commands.length && this.#isShared(commands[to]!) === isShared) to++;
      const some = commands.slice(from, to);
      outcomes.push(...(isShared ? await this.#change(some) : await this.#options.api.apply(some)));
      from = to;
    }
    return outcomes;
  }

  /** Servers that have joined are no rules of the cluster: each director follows them. */
  #isShared(command: Command): boolean {
    if (!SHARED.has(command.op)) return false;
    return !('destination' in command && this.#options.isJoined(command.service, command.destination));
  }

  /** Returns the commands that are in effect. */
  #effective(overlay: Overlay | undefined): readonly Command[] {
    return overlay && !this.#isOver(overlay) ? overlay.commands : [];
  }

  /** Reports whether the configuration has ended the rules: `adopt: replace` ends those of earlier generations. */
  #isOver(overlay: Overlay): boolean {
    const { generation, config } = this.#options;
    return config().adopt === 'replace' && overlay.generation < generation();
  }

  /** Removes rules that are over, which a later generation would put into effect again. */
  async #remove({ key, modRevision }: KeyValue): Promise<void> {
    try {
      await this.#options.access.store.client.txn([{ key, modRevision }], [{ remove: key }]);
    } catch (error) {
      // Another director does it, or this one when it applies the next change.
      if (!(error instanceof EtcdError)) throw error;
    }
  }

  async #change(commands: readonly Command[]): Promise<readonly Outcome[]> {
    const { access, isEvicted, generation } = this.#options;
    const { store, settings } = access;
    if (isEvicted())
      throw new LvsError(
        'UNAVAILABLE',
        `cluster ${settings.cluster}: this director is evicted (LVS_LOCAL=1 acts on it alone)`,
      );
    const { client, keys } = store;
    const id = randomUUID();
    let written: readonly Outcome[] | undefined;
    try {
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        const { ranges } = await client.txn([], [{ range: keys.rules }, { range: keys.config }]);
        const [stored, config] = ranges.map(({ values }) => values[0]);
        const known = this.#known(stored);
        const overlay = known?.overlay ?? (stored && (await overlayOf(stored.value, isCommand)));
        // A request that was repeated had been carried out before.
        if (written && overlay?.id === id) {
          await this.#untilRevision(stored!.modRevision);
          return written;
        }
        if (stored && !overlay)
          throw new LvsError('UNAVAILABLE', `cluster ${settings.cluster}: ${keys.rules}: invalid value`);
        await this.#untilGeneration(config);
        const below = { config: this.#options.config(), generation: generation() };
        const present = this.#known(stored);
        // Its director is changed now, and another change may begin meanwhile.
        this.#written = undefined;
        const { director, base } = present ?? (await this.#director(this.#effective(overlay)));
        const outcomes = await localApi(director, { now: () => 0 }).apply(commands);
        if (outcomes.every((outcome) => outcome !== undefined)) {
          this.#written = present;
          return outcomes;
        }
        const target = await rulesOf(director);
        const next = { id, generation: below.generation, commands: await changes(base, target) };
        const value = await overlayText(next);
        if (value.length > MAX_OVERLAY_BYTES)
          throw new LvsError(
            'UNAVAILABLE',
            `cluster ${settings.cluster}: too many rules besides the configuration (write them to it)`,
          );
        this.#written = { value, overlay: next, config: below.config, base, director, target };
        const { succeeded, revision } = await client.txn(
          [
            { key: keys.rules, modRevision: stored?.modRevision ?? 0 },
            { key: keys.config, modRevision: config?.modRevision ?? 0 },
          ],
          [{ put: keys.rules, value }],
        );
        written = outcomes;
        if (!succeeded) continue;
        await this.#untilRevision(revision);
        return outcomes;
      }
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      throw new LvsError(
        'UNAVAILABLE',
        `cluster ${settings.cluster}: not changed: ${error.message} (LVS_LOCAL=1 acts on this director alone)`,
        { cause: error },
      );
    }
    throw new LvsError(
      'UNAVAILABLE',
      `cluster ${settings.cluster}: other changes came first ${MAX_ATTEMPTS} times`,
    );
  }

  /** Resolves when this director has the generation of etcd. Throws LvsError if etcd has an earlier one. */
  async #untilGeneration(config: KeyValue | undefined): Promise<void> {
    const wanted = config && pointerOf(config.value)?.generation;
    const { generation, access } = this.#options;
    if (wanted !== undefined && wanted < generation())
      throw new LvsError(
        'UNAVAILABLE',
        `cluster ${access.settings.cluster}: etcd has generation ${wanted}: expected ${generation()} (lvs-director cluster apply)`,
      );
    if (wanted === undefined || wanted <= generation()) return;
    if (!(await this.#until(() => wanted <= generation())))
      throw new LvsError(
        'UNAVAILABLE',
        `cluster ${access.settings.cluster}: this director has generation ${generation()}: expected ${wanted} (lvs-director cluster members)`,
      );
  }

  async #untilRevision(revision: number): Promise<void> {
    if (await this.#until(() => this.#revision >= revision && this.#isWhole)) return;
    throw new LvsError(
      'UNAVAILABLE',
      `cluster ${this.#options.access.settings.cluster}: changed in etcd, and not in effect on this director within ${EFFECT_MS / 1000} s`,
    );
  }

  /** Resolves with whether the condition holds in time. */
  async #until(holds: () => boolean): Promise<boolean> {
    if (holds()) return true;
    let timer: NodeJS.Timeout | undefined;
    let look = (): void => {};
    await new Promise<void>((resolve) => {
      timer = setTimeout(resolve, EFFECT_MS);
      look = () => {
        if (holds()) resolve();
      };
      this.#waiting.add(look);
    });
    clearTimeout(timer);
    this.#waiting.delete(look);
    return holds();
  }

  /** Returns a director with the configuration and these commands, and the rules of the configuration alone. Works in slices. */
  async #director(
    overlay: readonly Command[],
    config = this.#options.config(),
  ): Promise<{ director: Director; base: Rules }> {
    const shared = [...unpacked(config.commands)].filter(({ op }) => SHARED.has(op));
    const director = rulesDirector();
    const api = localApi(director, { now: () => 0 });
    await api.apply(shared);
    const base = await rulesOf(director);
    await api.apply(overlay);
    return { director, base };
  }

  /** Changes this director. `isWhole`: from its present rules; otherwise from what was in effect before, which leaves others. `known`: the rules, if they were computed. */
  async #effect(overlay: readonly Command[], isWhole: boolean, known?: Rules): Promise<void> {
    const target = known ?? (await rulesOf((await this.#director(overlay)).director));
    const before = isWhole || !this.#target ? await this.#presentRules() : this.#target;
    const commands = await changes(before, target);
    this.#target = target;
    if (commands.length > 0) await this.#options.api.apply(commands.map((command) => this.#kept(command)));
  }

  /** Returns the command that adds something, or returns it to service if it drains. */
  #kept(command: Command): Command {
    const drains = this.#options.drains();
    if (command.op === 'add-destination' && drains.end(command))
      return { ...command, op: 'edit-destination' };
    if (command.op === 'add-service' && drains.end({ service: command.service }))
      return { ...command, op: 'edit-service' };
    return command;
  }

  /** The present rules, without servers that have joined, and without what a reload has removed and connections still use. */
  async #presentRules(): Promise<Rules> {
    const { running, drains } = this.#options;
    const { rules, timeouts } = await running();
    const drained = new Set(drains().all.map(({ service, destination }) => formatRule(service, destination)));
    const kept = rules.flatMap((rule) => {
      if (drained.has(formatRule(rule.service))) return [];
      const destinations = rule.destinations.filter(
        (each) => !each.isJoined && !drained.has(formatRule(rule.service, each)),
      );
      return { ...rule, destinations };
    });
    return { rules: kept, timeouts };
  }
}

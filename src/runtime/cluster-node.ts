/** A running director as a member of its cluster: follows etcd, applies generations, and reports. Forwarding never waits for it. */
import { randomUUID } from 'node:crypto';
import { EventLog } from '../cluster/event-log.ts';
import { overlayOf, overlayText } from '../cluster/overlay.ts';
import { RecentEvents } from '../cluster/recent-events.ts';
import { memberOf, metaOf, shortened } from '../cluster/records.ts';
import { RunIdentity } from '../cluster/run-identity.ts';
import { type ClusterView, nodesOf, viewOf } from '../cluster/view.ts';
import { rulesRunning } from '../config/reload/applied-state.ts';
import { isCommand } from '../control/command-shape.ts';
import type { KeyValue } from '../etcd/answers.ts';
import type { EtcdError, EtcdErrorKind } from '../etcd/etcd-error.ts';
import { LeasedKey } from '../etcd/leased-key.ts';
import { Mirror } from '../etcd/mirror.ts';
import { interfaceAddresses } from '../host/interface-addresses.ts';
import type {
  ClusterGeneration,
  ClusterMember,
  ClusterStatus,
  GenerationSource,
  HoldReason,
} from '../model/cluster.ts';
import { LvsError } from '../model/errors.ts';
import { loggedApi } from './changes.ts';
import { reportSituation } from './cluster-conditions.ts';
import type { CopiedChanges } from './cluster-copy.ts';
import { ClusterProposals } from './cluster-proposals.ts';
import { ClusterReport, type ReportSources } from './cluster-report.ts';
import { ClusterRules } from './cluster-rules.ts';
import { type ClusterStart, textOf } from './cluster-start.ts';
import { ClusterTurns } from './cluster-turns.ts';
import type { Conditions } from './conditions.ts';
import type { ConfigurationRequests } from './configuration-requests.ts';
import type { Log } from './log.ts';
import type { RunningDirector } from './running-director.ts';
import { version } from './version.ts';

/** ms between two attempts of a generation that could not be read. */
const RETRY_MS = 5000;
const TICK_MS = 1000;
/** Seconds after which the key of a silent director vanishes, and ms between two requests that keep it. */
const LEASE_S = 3;
const BEAT_MS = 1000;
/** Addresses that a member reports. */
const MAX_ADDRESSES = 16;

/** What the member of a cluster uses of its director. */
export interface ClusterNodeOptions extends ReportSources {
  readonly start: ClusterStart;
  readonly configuration: Pick<ConfigurationRequests, 'applyFile' | 'tryFile' | 'applied'>;
  /** Withdraws all VIPs, or announces those that are ready again. */
  readonly hold: (reason: HoldReason | undefined) => Promise<void>;
  /** The director whose rules `ipvsadm` changes, and which servers join. */
  readonly running: RunningDirector;
  /** Reports whether packets are forwarded. */
  readonly isReady: () => boolean;
  readonly conditions: Conditions;
  readonly log: Log;
}

export class ClusterNode {
  readonly #options: ClusterNodeOptions;
  readonly #run: RunIdentity;
  readonly #mirror: Mirror;
  readonly #membership: LeasedKey;
  readonly #events: EventLog;
  readonly #recent: RecentEvents;
  readonly #ownReport: ClusterReport;
  readonly #turns: ClusterTurns;
  readonly #proposals: ClusterProposals;
  readonly rules: ClusterRules;
  readonly #errors: Partial<Record<EtcdErrorKind, number>> = {};
  readonly #invalid = new Set<string>();
  #view: ClusterView;
  #nodes: ClusterStatus['nodes'] = [];
  #source: GenerationSource;
  #held: HoldReason | undefined;
  #rejected: { readonly generation: number; readonly error: string } | undefined;
  /** When the first of the errors happened that go on; ms. */
  #failing: { readonly since: number; readonly error: EtcdError } | undefined;
  #isTaken = false;
  #isOther = false;
  #working: Promise<void> | undefined;
  #isDue = false;
  #retryAt = 0;
  #tick: NodeJS.Timeout | undefined;
  #isClosed = false;
  #closing: Promise<void> | undefined;

  constructor(options: ClusterNodeOptions) {
    this.#options = options;
    const { access, rejected } = options.start;
    const { client, keys } = access.store;
    const { node } = access.settings;
    this.#held = options.start.copy.state!.held;
    this.#rejected = rejected;
    this.#source = options.start.source;
    const known = options.start.copy.state!.copy;
    this.#run = new RunIdentity(known ?? randomUUID(), new Date().toISOString());
    if (known === undefined) this.#save({ copy: this.#run.copy });
    const failed = (error: EtcdError | undefined) => this.#failed(error);
    this.#mirror = new Mirror({
      client,
      prefix: keys.state,
      changed: (changed) => this.#changed(changed),
      failed,
    });
    this.#view = viewOf(keys, this.#mirror.values);
    this.#membership = new LeasedKey({
      ...{ client, key: keys.member(node), leaseSeconds: LEASE_S, period: BEAT_MS },
      value: () => JSON.stringify(this.#member()),
      lastValue: () => JSON.stringify({ ...this.#member(), state: 'left' }),
      isOwn: (value) => this.#run.isOwn(memberOf(value)),
      failed,
      conflict: (isTaken) => {
        this.#isTaken = isTaken;
      },
    });
    this.#events = new EventLog(client, keys, node);
    this.#recent = new RecentEvents(access.store);
    this.#ownReport = new ClusterReport(options);
    this.#turns = new ClusterTurns(client, keys, node);
    const { running, configuration, log } = options;
    this.#proposals = new ClusterProposals({ client, keys, node, copy: options.start.copy, configuration });
    this.rules = new ClusterRules({
      access,
      api: loggedApi(running.api, 'cluster', log),
      running: async () => {
        const snapshot = await running.snapshot();
        return { rules: rulesRunning(snapshot), timeouts: snapshot.timeouts };
      },
      drains: () => running.drains,
      generation: () => this.#generation,
      config: () => running.config!,
      save: (overlay) => this.#save({ rules: overlay && overlayText(overlay) }),
      isEvicted: () => this.#held === 'evicted',
    });
  }

  /** Puts the rules of the copy on this host into effect. Call it before packets are forwarded. */
  async restore(): Promise<void> {
    const { rules } = this.#options.start.copy.state!;
    if (rules !== undefined) await this.rules.restore(overlayOf(Buffer.from(rules), isCommand));
  }

  /** Follows etcd from now on. Call it when the director has started. */
  start(): void {
    const { start } = this.#options;
    // A reload may have ended what the rules of the cluster change.
    this.#options.configuration.applied = () => {
      this.rules.reapply();
      this.#wake();
    };
    this.#mirror.follow();
    if (this.#held !== 'evicted') this.#membership.start();
    this.#events.append('started', `generation ${start.copy.state!.generation}, version ${version()}`);
    this.#tick = setInterval(() => this.#report(), TICK_MS);
  }

  /** Leaves by a key, so that the other members need not wait for the end of the lease. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#tick);
    this.#mirror[Symbol.dispose]();
    await this.#membership.leave();
    this.#options.start.access[Symbol.dispose]();
  }

  /** Reports whether the cluster wants this director to announce nothing. */
  get isHeld(): boolean {
    return this.#held !== undefined;
  }

  /** The configuration in effect. */
  get inEffect(): ClusterGeneration {
    return {
      name: this.#options.start.access.settings.cluster,
      generation: this.#generation,
      source: this.#source,
      stored: this.#view.config?.generation ?? 0,
      isReachable: this.#failing === undefined,
    };
  }

  get status(): ClusterStatus {
    return {
      ...this.inEffect,
      node: this.#options.start.access.settings.node,
      state: this.#held ?? 'active',
      nodes: this.#nodes,
      // What others know of this director may be older.
      members: [...this.#view.members.values()].map((each) =>
        each.instance === this.#run.instance ? this.#member() : each,
      ),
      events: this.#recent.latest,
      errors: { ...this.#errors },
      invalidRecords: this.#invalid.size,
    };
  }

  get #generation(): number {
    return this.#options.start.copy.state!.generation;
  }

  #member(): ClusterMember {
    const { start, isReady } = this.#options;
    const addresses = interfaceAddresses().flatMap(({ address, isLoopback }) => (isLoopback ? [] : address));
    return {
      node: start.access.settings.node,
      instance: this.#run.instance,
      copy: this.#run.copy,
      state: this.#held ?? 'active',
      generation: this.#generation,
      isReady: isReady(),
      version: version(),
      addresses: addresses.slice(0, MAX_ADDRESSES),
      since: this.#run.since,
      ...this.#ownReport.at(performance.now()),
      ...(this.#rejected && {
        rejected: { ...this.#rejected, error: shortened(this.#rejected.error) },
      }),
    };
  }

  #failed(error: EtcdError | undefined): void {
    if (!error) {
      this.#failing = undefined;
      return;
    }
    this.#errors[error.kind] = (this.#errors[error.kind] ?? 0) + 1;
    this.#failing = { since: this.#failing?.since ?? performance.now(), error };
  }

  #changed(changed: readonly string[]): void {
    const { access } = this.#options.start;
    const { keys } = access.store;
    const servers = keys.server('');
    if (changed.some((key) => key.startsWith(servers))) this.#registerServers();
    // Weights of servers may change often.
    if (changed.every((key) => key.startsWith(servers))) return;
    const before = this.#view;
    this.#view = viewOf(keys, this.#mirror.values);
    this.#nodes = nodesOf(this.#view);
    this.#reportMembers(before);
    const { node } = access.settings;
    const own = keys.member(node);
    const isLost =
      !this.#mirror.values.has(own) ||
      this.#run.isDisplaced(before.members.get(node), this.#view.members.get(node));
    if (changed.includes(own) && isLost && this.#held !== 'evicted' && !this.#isClosed)
      this.#membership.lost();
    this.#wake();
  }

  /** Keys that are missing count only in an etcd that has this cluster, as far as it has answered. */
  #registerServers(): void {
    const { start, running } = this.#options;
    const { keys } = start.access.store;
    const meta = this.#mirror.values.get(keys.meta);
    const isOwn = meta !== undefined && metaOf(meta.value)?.id === start.copy.state!.id;
    if (!isOwn || this.#held === 'evicted') return;
    const prefix = keys.server('');
    const values = new Map<string, KeyValue>();
    for (const [key, value] of this.#mirror.values)
      if (key.startsWith(prefix)) values.set(key.slice(prefix.length), value);
    for (const node of running.joined.register(values)) this.#reportInvalid(keys.server(node));
  }

  /** Does one thing after the other, until nothing is left to do. */
  #wake(): void {
    this.#isDue = true;
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  async #work(): Promise<void> {
    while (this.#isDue && !this.#isClosed) {
      this.#isDue = false;
      this.#check();
      // Keys that are missing change nothing: etcd may have lost them.
      if (this.#isOther) return;
      await this.#updateHold();
      if (this.#held === 'evicted') return;
      await this.#tried(() => this.#proposals.answer(this.#mirror.values));
      await this.#applyConfig();
      await this.#updateRules();
    }
  }

  /** Finds out whether the keys are those of this cluster, and reports values that are no records. */
  #check(): void {
    const { start } = this.#options;
    const { meta, config, invalid } = this.#view;
    this.#isOther = meta?.id !== start.copy.state!.id;
    if (!this.#isOther && config?.generation === this.#generation) this.#source = 'etcd';
    for (const key of invalid) this.#reportInvalid(key);
  }

  /** Reports a value once. */
  #reportInvalid(key: string): void {
    const id = `${key} ${this.#mirror.values.get(key)?.modRevision}`;
    if (this.#invalid.has(id)) return;
    this.#invalid.add(id);
    this.#options.log('warning', 'cluster-record-ignored', {
      key,
      reason: 'not a value that a director writes',
    });
  }

  async #updateHold(): Promise<void> {
    const { start, hold, log } = this.#options;
    const { node } = start.access.settings;
    const { evicted, paused } = this.#view;
    const held = evicted.has(node) ? 'evicted' : paused.has(node) ? 'paused' : undefined;
    if (held === this.#held) return;
    const wasEvicted = this.#held === 'evicted';
    this.#held = held;
    this.#save({ held });
    log(held ? 'warning' : 'info', held ? `cluster-${held}` : 'cluster-resumed', {});
    this.#events.append(held ?? 'resumed', held ? 'announces no VIPs' : 'announces VIPs that are ready');
    await hold(held);
    if (held === 'evicted') await this.#membership.leave();
    else if (wasEvicted) this.#membership.start();
    else void this.#membership.update();
  }

  #save(parts: CopiedChanges): void {
    const { start, log } = this.#options;
    try {
      start.copy.save(parts);
    } catch (error) {
      if (!(error instanceof LvsError)) throw error;
      log('error', 'cluster-copy-failed', { error: error.message });
    }
  }

  /** Rules depend on the configuration: those of a director that is behind wait. */
  async #updateRules(): Promise<void> {
    const { access } = this.#options.start;
    if ((this.#view.config?.generation ?? 0) > this.#generation) return;
    const key = access.store.keys.rules;
    if (!(await this.rules.update(this.#mirror.values.get(key)))) this.#reportInvalid(key);
  }

  async #applyConfig(): Promise<void> {
    const { config, halted } = this.#view;
    const { start, log } = this.#options;
    if (!config || config.generation <= this.#generation) return;
    const { generation, digest, atMost } = config;
    if (this.#rejected?.generation === generation || halted.has(generation)) return;
    if (performance.now() < this.#retryAt) return;
    const lease = this.#membership.lease;
    const begun = await this.#tried(async () => await this.#turns.begin(generation, atMost, lease));
    if (begun !== true) {
      this.#retryAt = begun === undefined ? performance.now() + RETRY_MS : 0;
      return;
    }
    let error: LvsError | undefined;
    try {
      const text = await textOf(start.access, generation, digest);
      await this.#options.configuration.applyFile(start.copy.write(generation, text));
      this.#rejected = undefined;
      this.#save({ generation });
      this.#source = 'etcd';
      log('info', 'cluster-generation-applied', { generation });
      this.#events.append('applied', `generation ${generation}`);
    } catch (cause) {
      if (!(cause instanceof LvsError)) throw cause;
      error = cause;
    }
    if (error && error.code !== 'CONFIG') {
      // etcd or this host: the next attempt may succeed.
      log('warning', 'cluster-generation-delayed', { generation, error: error.message });
      this.#retryAt = performance.now() + RETRY_MS;
    } else if (error) {
      this.#rejected = { generation, error: error.message };
      this.#events.append('rejected', `generation ${generation}: ${error.message}`);
      log('error', 'cluster-generation-rejected', { generation });
    }
    void this.#membership.update();
    await this.#tried(() => this.#turns.end(generation, error?.code === 'CONFIG'));
  }

  /** Resolves with the result; undefined: etcd has failed, which is counted. */
  async #tried<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof LvsError)) throw error;
      if ('kind' in error) this.#failed(error as EtcdError);
      return undefined;
    }
  }

  #reportMembers(before: ClusterView): void {
    const { start, log } = this.#options;
    const own = start.access.settings.node;
    for (const [node, { instance, state }] of this.#view.members) {
      if (node === own || before.members.get(node)?.instance === instance) continue;
      if (state !== 'left') log('info', 'cluster-member-joined', { member: node });
    }
    for (const [node, { state }] of before.members)
      if (node !== own && !this.#view.members.has(node))
        log(state === 'left' ? 'info' : 'warning', `cluster-member-${state === 'left' ? 'left' : 'lost'}`, {
          member: node,
        });
  }

  /** Call it once a second. */
  #report(): void {
    const { conditions, start } = this.#options;
    const { cluster, node } = start.access.settings;
    void this.#events.flush();
    void this.#recent.update(performance.now());
    this.#registerServers();
    this.#wake();
    const failing = this.#failing && {
      duration: performance.now() - this.#failing.since,
      error: this.#failing.error,
    };
    const situation = { cluster, node, view: this.#view, generation: this.#generation, held: this.#held };
    const isUnread = this.#mirror.values.size === 0;
    reportSituation(
      { ...situation, failing, isUnread, isOther: this.#isOther, isTaken: this.#isTaken },
      conditions,
    );
  }
}

/** A running director as a member of its cluster: follows etcd, applies generations, and reports. Forwarding never waits for it. */
import { randomUUID } from 'node:crypto';
import { EventLog } from '../../cluster/event-log.ts';
import { overlayOf } from '../../cluster/overlay.ts';
import { RecentEvents } from '../../cluster/recent-events.ts';
import { memberOf } from '../../cluster/records.ts';
import { RunIdentity } from '../../cluster/run-identity.ts';
import { type ClusterView, nodesOf, ViewReader } from '../../cluster/view.ts';
import { isCommand } from '../../control/command-shape.ts';
import type { KeyValue } from '../../etcd/answers.ts';
import { LeasedKey } from '../../etcd/leased-key.ts';
import { Mirror } from '../../etcd/mirror.ts';
import type { ClusterGeneration, ClusterMember, ClusterStatus, HoldReason } from '../../model/cluster.ts';
import { loggedApi } from '../changes.ts';
import type { Conditions } from '../conditions.ts';
import type { ConfigurationRequests } from '../configuration/configuration-requests.ts';
import type { Log } from '../log.ts';
import type { RunningDirector } from '../running-director.ts';
import { version } from '../version.ts';
import { logMembers, reportSituation } from './cluster-conditions.ts';
import type { CopiedChanges } from './cluster-copy.ts';
import { ClusterGenerations } from './cluster-generations.ts';
import { ClusterProposals } from './cluster-proposals.ts';
import { ClusterReport, type ReportSources } from './cluster-report.ts';
import { ClusterRoles, type GroupAnnouncements } from './cluster-roles.ts';
import { ClusterRules } from './cluster-rules.ts';
import type { ClusterStart } from './cluster-start.ts';
import { rulesIn } from './computed-rules.ts';
import { EtcdHealth } from './etcd-health.ts';
import { InvalidRecords } from './invalid-records.ts';

const TICK_MS = 1000;
/** Seconds after which the key of a silent director vanishes, and ms between two requests that keep it. */
const LEASE_S = 3;
const BEAT_MS = 1000;

/** What the member of a cluster uses of its director. */
export interface ClusterNodeOptions extends ReportSources {
  readonly start: ClusterStart;
  readonly configuration: Pick<ConfigurationRequests, 'applyFile' | 'tryFile' | 'applied'>;
  /** Withdraws all VIPs, or announces those that are ready again. */
  readonly hold: (reason: HoldReason | undefined) => Promise<void>;
  /** The director whose rules `ipvsadm` changes, and which servers join. */
  readonly running: RunningDirector;
  readonly groupAnnouncements: GroupAnnouncements;
  /** Called when the role of this director in a group has changed. */
  readonly roleChanged: () => void;
  /** Reports whether packets are forwarded. */
  readonly isReady: () => boolean;
  readonly conditions: Conditions;
  readonly log: Log;
}

export class ClusterNode {
  readonly #options: ClusterNodeOptions;
  readonly #run: RunIdentity;
  readonly #etcd = new EtcdHealth();
  readonly #mirror: Mirror;
  readonly #membership: LeasedKey;
  readonly #events: EventLog;
  readonly #recent: RecentEvents;
  readonly #ownReport: ClusterReport;
  readonly #generations: ClusterGenerations;
  readonly #proposals: ClusterProposals;
  readonly rules: ClusterRules;
  readonly roles: ClusterRoles;
  readonly #invalid: InvalidRecords;
  readonly #reader: ViewReader;
  #view: ClusterView;
  #nodes: ClusterStatus['nodes'] = [];
  #held: HoldReason | undefined;
  #isTaken = false;
  #working: Promise<void> | undefined;
  #isDue = false;
  #tick: NodeJS.Timeout | undefined;
  #isClosed = false;
  #closing: Promise<void> | undefined;

  constructor(options: ClusterNodeOptions) {
    this.#options = options;
    const { access } = options.start;
    const { client, keys } = access.store;
    const { node } = access.settings;
    this.#held = options.start.copy.state!.held;
    const known = options.start.copy.state!.copy;
    this.#run = new RunIdentity(known ?? randomUUID(), new Date().toISOString());
    const save = (parts: CopiedChanges) => options.start.copy.trySave(parts, options.log);
    if (known === undefined) save({ copy: this.#run.copy });
    const { failed, tried } = this.#etcd;
    this.#mirror = new Mirror({
      ...{ client, prefix: keys.state, failed },
      changed: (changed) => this.#changed(changed),
    });
    this.#invalid = new InvalidRecords(this.#mirror.values, options.log);
    this.#reader = new ViewReader(keys);
    this.#view = this.#reader.read(this.#mirror.values, []);
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
    const { running, configuration, log } = options;
    this.#generations = new ClusterGenerations({
      ...{ start: options.start, configuration, log, save, tried },
      lease: () => this.#membership.lease,
      event: (event, text) => this.#events.append(event, text),
    });
    this.#proposals = new ClusterProposals({ client, keys, node, copy: options.start.copy, configuration });
    this.roles = new ClusterRoles(
      {
        ...{ client, keys, node, instance: this.#run.instance, values: this.#mirror.values, log },
        view: () => (this.#isTrusted ? this.#view : undefined),
        lease: () => this.#membership.lease,
        groups: () => running.config?.announce?.groups ?? [],
        announcements: options.groupAnnouncements,
        changed: (roles) => {
          save({ roles });
          options.roleChanged();
        },
        event: (group, role) => this.#events.append(role, `group ${group}`),
        failed: this.#etcd.refused,
      },
      options.start.copy.state!.roles ?? {},
    );
    this.rules = new ClusterRules({
      access,
      api: loggedApi(running.api, 'cluster', log),
      running: async () => rulesIn(await running.snapshot()),
      drains: () => running.drains,
      generation: () => this.#generations.inEffect,
      config: () => running.config!,
      save: (rules) => save({ rules }),
      isEvicted: () => this.#held === 'evicted',
      isJoined: (...of) => running.joined.of(...of) !== undefined,
    });
  }

  /** Reads the rules of the copy on this host. Call it before the rules of the director are made. */
  async load(): Promise<void> {
    const { rules } = this.#options.start.copy.state!;
    if (rules !== undefined) this.rules.load(await overlayOf(Buffer.from(rules), isCommand));
  }

  /** Puts them into effect. Call it before packets are forwarded. */
  restore(): Promise<void> {
    return this.rules.restore();
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

  /**
   * Leaves by a key, so that the other members need not wait for the end of the lease. `keepFor`: this director stays the one
   * that announces its groups for these seconds, or until its next process has taken over.
   */
  close(keepFor?: number): Promise<void> {
    this.#closing ??= this.#close(keepFor);
    return this.#closing;
  }

  async #close(keepFor: number | undefined): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#tick);
    if (keepFor === undefined) {
      // This director is not ready any more.
      void this.#membership.update();
      await this.roles.yield();
    } else await this.#etcd.tried(() => this.roles.keep(keepFor));
    this.roles.close();
    this.#mirror[Symbol.dispose]();
    await this.#membership.leave();
    this.#options.start.access[Symbol.dispose]();
  }

  /** Reports whether the cluster wants this director to announce nothing. */
  get isHeld(): boolean {
    return this.#held !== undefined;
  }

  /** The keys are those of this cluster. */
  get #isTrusted(): boolean {
    return this.#view.meta !== undefined && this.#view.meta.id === this.#options.start.copy.state!.id;
  }

  /** The configuration in effect. */
  get inEffect(): ClusterGeneration {
    return {
      name: this.#options.start.access.settings.cluster,
      generation: this.#generations.inEffect,
      source: this.#generations.source,
      stored: this.#view.config?.generation ?? 0,
      isReachable: this.#etcd.failing === undefined,
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
      groups: this.roles.groups,
      events: this.#recent.latest,
      errors: this.#etcd.errors,
      invalidRecords: this.#invalid.count,
    };
  }

  #member(): ClusterMember {
    const { start, isReady } = this.#options;
    const { instance, copy, since } = this.#run;
    return {
      ...{ node: start.access.settings.node, instance, copy, since },
      state: this.#held ?? 'active',
      generation: this.#generations.inEffect,
      isReady: isReady(),
      ...this.#ownReport.at(performance.now()),
      ...this.#generations.rejected,
    };
  }

  #changed(changed: readonly string[]): void {
    const { access } = this.#options.start;
    const { keys } = access.store;
    const ofServers = changed.filter((key) => key.startsWith(keys.server('')));
    // Weights of servers may change often.
    if (ofServers.length < changed.length) this.#viewChanged(changed);
    if (ofServers.length > 0) this.#registerServers();
  }

  #viewChanged(changed: readonly string[]): void {
    const { access } = this.#options.start;
    const { keys } = access.store;
    const before = this.#view;
    this.#view = this.#reader.read(this.#mirror.values, changed);
    this.#nodes = nodesOf(this.#view);
    logMembers(before.members, this.#view.members, access.settings.node, this.#options.log);
    this.roles.seen(changed);
    void this.roles.update();
    const { node } = access.settings;
    const own = keys.member(node);
    const isLost =
      !this.#mirror.values.has(own) ||
      this.#run.isReplaced(
        before.members.get(node),
        this.#view.members.get(node),
        this.#generations.inEffect,
      );
    if (changed.includes(own) && isLost && this.#held !== 'evicted' && !this.#isClosed)
      this.#membership.lost();
    this.#wake();
  }

  /** Keys that are missing count only in an etcd that has this cluster, as far as it has answered. */
  #registerServers(): void {
    const { start, running } = this.#options;
    const { keys } = start.access.store;
    if (!this.#isTrusted || this.#held === 'evicted') return;
    const prefix = keys.server('');
    const values = new Map<string, KeyValue>();
    for (const [key, value] of this.#mirror.values)
      if (key.startsWith(prefix)) values.set(key.slice(prefix.length), value);
    for (const node of running.joined.register(values)) this.#invalid.report(keys.server(node));
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
      for (const key of this.#view.invalid) this.#invalid.report(key);
      // Keys that are missing change nothing: etcd may have lost them.
      if (!this.#isTrusted) return;
      this.#generations.confirm(this.#view.config?.generation);
      await this.#updateHold();
      if (this.#held === 'evicted') return;
      await this.#etcd.tried(() => this.#proposals.answer(this.#mirror.values));
      if (await this.#generations.apply(this.#view)) void this.#membership.update();
      await this.#updateRules();
    }
  }

  async #updateHold(): Promise<void> {
    const { start, hold, log } = this.#options;
    const { node } = start.access.settings;
    const { evicted, paused } = this.#view;
    const held = evicted.has(node) ? 'evicted' : paused.has(node) ? 'paused' : undefined;
    if (held === this.#held) return;
    const wasEvicted = this.#held === 'evicted';
    this.#held = held;
    start.copy.trySave({ held }, log);
    log(held ? 'warning' : 'info', held ? `cluster-${held}` : 'cluster-resumed', {});
    this.#events.append(held ?? 'resumed', held ? 'announces no VIPs' : 'announces VIPs that are ready');
    await hold(held);
    if (held === 'evicted') await this.#membership.leave();
    else if (wasEvicted) this.#membership.start();
    else void this.#membership.update();
  }

  /** Rules depend on the configuration: those of a director that is behind wait. */
  async #updateRules(): Promise<void> {
    const { access } = this.#options.start;
    const { inEffect } = this.#generations;
    // An earlier generation is that of a backup, and so are its rules.
    if ((this.#view.config?.generation ?? inEffect) !== inEffect) return;
    const key = access.store.keys.rules;
    if (!(await this.rules.update(this.#mirror.values.get(key)))) this.#invalid.report(key);
  }

  /** Call it once a second. */
  #report(): void {
    const { conditions, start } = this.#options;
    const { cluster, node } = start.access.settings;
    void this.#events.flush();
    void this.#recent.update(performance.now());
    this.#registerServers();
    this.#wake();
    const situation = {
      ...{ cluster, node, view: this.#view, generation: this.#generations.inEffect, held: this.#held },
      failing: this.#etcd.failing,
      isUnread: !this.#mirror.isRead,
      isOther: !this.#isTrusted,
      isTaken: this.#isTaken,
    };
    reportSituation(situation, conditions);
    const isKnown = this.#isTrusted && this.#etcd.failing === undefined;
    this.roles.shortage.report(isKnown ? this.roles.groups : undefined, conditions, performance.now());
  }
}

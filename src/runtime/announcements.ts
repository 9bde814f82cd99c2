/** Announces the VIPs for which this director is ready, and withdraws the others, by BIRD. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { BirdAnnouncer } from '../announce/bird-announcer.ts';
import { announcedIn, type WantedVips, withdrawn } from '../announce/bird-file.ts';
import { VipGroups } from '../announce/vip-groups.ts';
import { type VipReadiness, VipStates } from '../announce/vip-states.ts';
import type { AnnounceDocument, BirdDocument } from '../config/document.ts';
import { replaceableFolder } from '../control/owned-folder.ts';
import type { AnnouncementListing } from '../model/announcement.ts';
import type { HoldReason } from '../model/cluster.ts';
import { LvsError } from '../model/errors.ts';
import type { ClusterRoles, GroupAnnouncements, GroupReadiness } from './cluster/cluster-roles.ts';
import type { Conditions } from './conditions.ts';
import type { Log } from './log.ts';
import type { OperatorState } from './operator-state.ts';
import { ReadyVips, type ReadyVipsOptions } from './ready-vips.ts';

/** How long routers may take to send packets elsewhere after BIRD has withdrawn the VIPs, ms. */
export const ROUTES_MS = 500;
/** ms for which a director that ends waits for BIRD. */
const WITHDRAW_MS = 1500;
/** ms after which a director whose BIRD announces nothing leaves its groups of VIPs to others. */
const FAILING_MS = 3000;

export interface AnnouncementsOptions extends ReadyVipsOptions {
  /** Returns the section of the file that was applied last. */
  readonly wanted: () => AnnounceDocument | undefined;
  /** Sends to other directors what they lack. */
  readonly handOver: () => Promise<void>;
  /** The cluster, in which other directors announce groups of VIPs; undefined: there is none. */
  readonly cluster: () => Pick<ClusterRoles, 'role' | 'update' | 'yield'> | undefined;
  readonly state: OperatorState;
  readonly conditions: Conditions;
  /** ms. */
  readonly clock: () => number;
  readonly log: Log;
}

export class Announcements implements GroupAnnouncements {
  readonly #options: AnnouncementsOptions;
  readonly #owner = randomUUID();
  readonly #readyVips: ReadyVips;
  #bird: BirdAnnouncer | undefined;
  #birdFile: string | undefined;
  #states = new VipStates();
  #ready: ReadonlyMap<string, VipReadiness> = new Map();
  #vips: WantedVips = new Map();
  /** VIPs that this director would announce if it were no spare, and which VIPs of groups. */
  #spare: ReadonlySet<string> = new Set();
  #readyGroups: ReadonlyMap<string, GroupReadiness> = new Map();
  readonly #groups = new VipGroups();
  /** When BIRD began to announce nothing, ms. */
  #failingSince: number | undefined;
  /** The VIPs are about to be withdrawn: they stay as they are until others announce them. */
  #isGoing = false;
  #updating: Promise<void> | undefined;
  #isLeaving = false;
  #held: HoldReason | undefined;
  #isClosed = false;

  /** `held`: from the start on. */
  constructor(options: AnnouncementsOptions, held?: HoldReason) {
    this.#options = options;
    this.#readyVips = new ReadyVips(options);
    this.#held = held;
  }

  /**
   * Takes over what a former director has left: announced VIPs if its path still forwards, and otherwise withdraws them.
   * Call it before the start. Resolves when BIRD was asked.
   */
  async begin(wanted: AnnounceDocument | undefined, isForwarding: boolean): Promise<void> {
    if (wanted?.bird === undefined) return;
    const left = leftVips(wanted.bird);
    if (isForwarding) {
      this.#states = new VipStates([...left].flatMap(([vip, isAnnounced]) => (isAnnounced ? vip : [])));
      return;
    }
    if (![...left.values()].includes(true)) return;
    this.#open(wanted.bird);
    this.#vips = withdrawn(left);
    await this.#bird!.set(this.#vips);
  }

  /** Applies the present configuration and readiness. Call it once a second, from the end of the start on. */
  update(): Promise<void> {
    this.#updating ??= this.#update().finally(() => {
      this.#updating = undefined;
    });
    return this.#updating;
  }

  async #update(): Promise<void> {
    const { wanted: configured, clock } = this.#options;
    const wanted = configured();
    if (this.#isClosed || this.#isGoing) return;
    if (this.#bird && wanted?.bird === undefined) await this.#stop();
    if (wanted?.bird) this.#open(wanted.bird);
    this.#ready = wanted ? await this.#readyVips.of(wanted.vips) : new Map();
    if (this.#isClosed || this.#isGoing) return;
    const ready = this.#isWithdrawn ? withdrawn(this.#ready) : this.#ready;
    const before = this.#vips;
    const able = this.#states.update(ready, (wanted?.rise ?? 0) * 1000, clock());
    this.#groups.set(wanted?.groups, able);
    this.#leaveToOthers(able, before);
    this.#watchBird(clock());
    this.#logChanges(before);
    const cluster = this.#options.cluster();
    void cluster?.update();
    // Other directors wait for what is announced.
    void this.#bird?.set(this.#vips).then(() => cluster?.update());
    this.#report();
  }

  /** Sets the VIPs, of those that this director can announce: not those of which it is a spare. */
  #leaveToOthers(able: WantedVips, before: WantedVips): void {
    const cluster = this.#options.cluster();
    const vips = new Map<string, boolean>();
    const roles = new Map((this.#groups.configured ?? []).map(({ name }) => [name, cluster?.role(name)]));
    const spare = new Set<string>();
    const groups = new Map<string, GroupReadiness>();
    for (const [vip, isAble] of able) {
      const group = cluster && this.#groups.of(vip);
      // What is not decided stays as it is.
      const isSpare =
        group !== undefined && (roles.get(group) ?? (before.get(vip) ? 'active' : 'spare')) === 'spare';
      vips.set(vip, isAble && !isSpare);
      if (isAble && isSpare) spare.add(vip);
      if (group === undefined) continue;
      const now = isAble ? 'all' : 'none';
      groups.set(group, (groups.get(group) ?? now) === now ? now : 'some');
    }
    this.#vips = vips;
    this.#spare = spare;
    this.#readyGroups = groups;
  }

  /** Sets since when BIRD announces nothing, and whether that is known. */
  #watchBird(now: number): void {
    const { error, sessions } = this.#bird?.state ?? {};
    const isFailing =
      error !== undefined || (sessions !== undefined && sessions.all > 0 && sessions.established === 0);
    this.#failingSince = isFailing ? (this.#failingSince ?? now) : undefined;
  }

  groupReadiness(group: string): GroupReadiness {
    return this.canAnnounce ? (this.#readyGroups.get(group) ?? 'none') : 'none';
  }

  groupId(group: string): string {
    return this.#groups.id(group);
  }

  announcesGroup(group: string): boolean {
    const wanted = this.#groups.vips(group).filter((vip) => this.#vips.get(vip));
    const has = this.#bird?.state.announced;
    return wanted.length > 0 && wanted.every((vip) => has?.has(vip) ?? true);
  }

  /** Reports whether this director could announce VIPs that are ready. */
  get canAnnounce(): boolean {
    const { clock } = this.#options;
    const isFailing = this.#failingSince !== undefined && clock() - this.#failingSince >= FAILING_MS;
    return !this.#isGoing && !this.#isWithdrawn && !isFailing;
  }

  /** All VIPs are withdrawn, whatever is ready. */
  get #isWithdrawn(): boolean {
    return this.#isLeaving || this.#held !== undefined || this.#options.state.changes.isWithdrawn;
  }

  /** Applies what has changed until now, such as roles: a look that is under way may not know it. */
  async refresh(): Promise<void> {
    await this.#updating;
    await this.update();
  }

  /** Like `refresh`. Resolves when BIRD was asked, or has not answered in time. */
  async #apply(): Promise<void> {
    await this.refresh();
    if (this.#bird) await withinLimit(this.#bird.set(this.#vips));
  }

  /** Lets other directors announce what this one is about to withdraw, if they can. */
  async #makeWay(): Promise<void> {
    this.#isGoing = true;
    try {
      await this.#options.cluster()?.yield();
    } finally {
      this.#isGoing = false;
    }
  }

  /** Stops or resumes all announcements by a command. Resolves with the result. Throws LvsError. */
  async setWithdrawn(isWithdrawn: boolean): Promise<AnnouncementListing> {
    const { wanted, state, log } = this.#options;
    if (wanted() === undefined)
      throw new LvsError('INVALID', 'announce: not configured: the file has no section announce');
    if (state.changes.isWithdrawn !== isWithdrawn) {
      if (isWithdrawn) await this.#makeWay();
      state.change({ isWithdrawn });
      if (isWithdrawn) log('info', 'vips-withdrawn-by-command', {});
      else log('info', 'vips-announced-by-command', {});
    }
    await this.#apply();
    if (isWithdrawn) await this.#handOver();
    return this.listing();
  }

  /**
   * Withdraws all VIPs, and hands the connections over; undefined: announces those that are ready again. Resolves when BIRD was
   * asked. Works without announcements, too.
   */
  async hold(reason: HoldReason | undefined): Promise<void> {
    if (reason !== undefined) await this.#makeWay();
    this.#held = reason;
    await this.#apply();
    if (reason !== undefined) await this.#handOver();
  }

  /** The listing; undefined: the file configures no announcements. */
  get configured(): AnnouncementListing | undefined {
    return this.#options.wanted() && this.listing();
  }

  /** Hands connections over at once, and again those whose packets were on the way. */
  async #handOver(): Promise<void> {
    const { handOver } = this.#options;
    await handOver();
    await sleep(ROUTES_MS);
    await handOver();
  }

  listing(): AnnouncementListing {
    const bird = this.#bird;
    const { announced, sessions, error } = bird?.state ?? {};
    return {
      isWithdrawn: this.#options.state.changes.isWithdrawn,
      ...(this.#held && { held: this.#held }),
      vips: [...this.#vips].map(([vip, isWanted]) => ({
        vip,
        isReady: this.#ready.get(vip) === true,
        isWanted,
        ...(this.#spare.has(vip) && { isSpare: true }),
        ...(announced && { isAnnounced: announced.has(vip) }),
      })),
      ...(sessions && { sessions }),
      ...(error && { error: { kind: error.kind, text: error.message } }),
      ...(bird && { errors: { ...bird.errors }, changes: bird.changes }),
    };
  }

  /** Withdraws all VIPs for good, before the director ends. Resolves with whether some were announced. */
  async leave(): Promise<boolean> {
    const wereAnnounced = [...this.#vips.values()].includes(true);
    await this.#makeWay();
    this.#isLeaving = true;
    await this.refresh();
    if (!this.#bird) return wereAnnounced;
    const isConfirmed = await withinLimit(this.#bird.withdrawAll());
    const { error } = this.#bird.state;
    // A BIRD that does not run announces nothing.
    if (isConfirmed !== true && error?.kind !== 'not-running' && wereAnnounced)
      this.#options.log('warning', 'vips-not-withdrawn', {
        reason: error?.message ?? `BIRD has not confirmed it within ${WITHDRAW_MS / 1000} s`,
      });
    return wereAnnounced;
  }

  /** Leaves the VIPs as they are to the next director, from the time on at which this one ends. */
  stay(): void {
    this.#isClosed = true;
  }

  /** Ends. `keepFor`: the VIPs stay announced for these seconds, or until the next director has taken over. */
  async close(keepFor: number | undefined): Promise<void> {
    this.#isClosed = true;
    await this.#updating;
    if (keepFor !== undefined && !this.#isLeaving) await this.#bird?.leave(keepFor);
    else await this.#stop();
    this.#bird = undefined;
  }

  async #stop(): Promise<void> {
    const bird = this.#bird;
    this.#bird = undefined;
    if (!bird) return;
    await withinLimit(bird.withdrawAll());
    await bird.close();
  }

  /** Talks to BIRD by this socket and file, and no longer by others. */
  #open(bird: BirdDocument): void {
    const { socket, file } = bird;
    const key = `${socket} ${file}`;
    if (this.#bird && this.#birdFile === key) return;
    void this.#stop();
    this.#birdFile = key;
    this.#bird = new BirdAnnouncer({
      ...{ socket, file, owner: this.#owner },
      refuse: (folder) => {
        const replaceable = replaceableFolder(folder);
        return replaceable === undefined
          ? undefined
          : `another user can replace the file: ${replaceable} must belong to the director's user or root, and not be writable for others`;
      },
    });
  }

  #logChanges(before: WantedVips): void {
    const { log, state } = this.#options;
    for (const [vip, isWanted] of this.#vips) {
      if (isWanted === (before.get(vip) ?? false)) continue;
      if (isWanted) log('info', 'vip-announcing', { vip });
      else {
        const reason = this.#isLeaving
          ? 'the director ends'
          : state.changes.isWithdrawn
            ? 'by command'
            : (this.#held ?? (this.#spare.has(vip) ? 'spare' : 'not ready'));
        log(reason === 'not ready' ? 'warning' : 'info', 'vip-withdrawing', { vip, reason });
      }
    }
    for (const [vip, wasWanted] of before)
      if (wasWanted && !this.#vips.has(vip))
        log('info', 'vip-withdrawing', { vip, reason: 'no service has it' });
  }

  /** Sets the condition that BIRD does not do what is wanted. */
  #report(): void {
    const error = this.#bird?.state.error;
    const text = `the VIPs cannot be announced, or withdrawn: ${error?.message}`;
    const entry = { text, fields: { kind: error?.kind ?? '', error: error?.message ?? '' } };
    const { conditions, cluster } = this.#options;
    conditions.set('announce-failed', new Map(error ? [[error.kind, entry]] : []));
    const areIgnored = this.#groups.configured !== undefined && cluster() === undefined;
    const ignored = 'groups of VIPs need a cluster (run --cluster): this director announces all VIPs';
    conditions.set(
      'announce-groups-ignored',
      new Map(areIgnored ? [['groups', { text: ignored, fields: {} }]] : []),
    );
  }
}

/** Resolves like the promise, or with undefined after WITHDRAW_MS. */
const withinLimit = <T>(work: Promise<T>): Promise<T | undefined> =>
  Promise.race([
    work,
    new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), WITHDRAW_MS).unref()),
  ]);

/** Returns the VIPs in the file that a director has left. */
function leftVips({ file }: BirdDocument): WantedVips {
  try {
    return announcedIn(readFileSync(file, 'utf8'));
  } catch {
    return new Map();
  }
}

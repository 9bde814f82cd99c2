/** Announces the VIPs for which this director is ready, and withdraws the others, by BIRD. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { BirdAnnouncer } from '../announce/bird-announcer.ts';
import { announcedIn, type WantedVips, withdrawn } from '../announce/bird-file.ts';
import { type VipReadiness, VipStates } from '../announce/vip-states.ts';
import type { AnnounceDocument, BirdDocument } from '../config/document.ts';
import { replaceableFolder } from '../control/owned-folder.ts';
import type { Director } from '../director/director.ts';
import type { Service } from '../director/service.ts';
import type { AnnouncementListing } from '../model/announcement.ts';
import type { HoldReason } from '../model/cluster.ts';
import { LvsError } from '../model/errors.ts';
import { Slice } from '../model/slice.ts';
import { formatAddress } from '../wire/address.ts';
import type { Conditions } from './conditions.ts';
import type { Log } from './log.ts';
import type { OperatorState } from './operator-state.ts';

/** How long routers may take to send packets elsewhere after BIRD has withdrawn the VIPs, ms. */
export const ROUTES_MS = 500;
/** ms for which a director that ends waits for BIRD. */
const WITHDRAW_MS = 1500;

export interface AnnouncementsOptions {
  readonly director: Director;
  /** Returns the section of the file that was applied last. */
  readonly wanted: () => AnnounceDocument | undefined;
  /** Reports whether packets are forwarded, and connections of other directors are known. */
  readonly isReady: () => boolean;
  /** Reports whether services of an address are being removed. */
  readonly isDraining: (address: string) => boolean;
  /** Sends to other directors what they lack. */
  readonly handOver: () => Promise<void>;
  readonly state: OperatorState;
  readonly conditions: Conditions;
  /** ms. */
  readonly clock: () => number;
  readonly log: Log;
}

export class Announcements {
  readonly #options: AnnouncementsOptions;
  readonly #owner = randomUUID();
  readonly #addresses = new WeakMap<Service, string>();
  #bird: BirdAnnouncer | undefined;
  #birdFile: string | undefined;
  #states = new VipStates();
  #ready: ReadonlyMap<string, VipReadiness> = new Map();
  #vips: WantedVips = new Map();
  #updating: Promise<void> | undefined;
  #isLeaving = false;
  #held: HoldReason | undefined;
  #isClosed = false;

  /** `held`: from the start on. */
  constructor(options: AnnouncementsOptions, held?: HoldReason) {
    this.#options = options;
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
    const { wanted: configured, clock, state } = this.#options;
    const wanted = configured();
    if (this.#isClosed) return;
    if (this.#bird && wanted?.bird === undefined) await this.#stop();
    if (wanted?.bird) this.#open(wanted.bird);
    this.#ready = wanted ? await this.#readiness(wanted) : new Map();
    if (this.#isClosed) return;
    const isWithdrawn = this.#isLeaving || this.#held !== undefined || state.changes.isWithdrawn;
    const ready = isWithdrawn ? withdrawn(this.#ready) : this.#ready;
    const before = this.#vips;
    this.#vips = this.#states.update(ready, (wanted?.rise ?? 0) * 1000, clock());
    this.#logChanges(before);
    void this.#bird?.set(this.#vips);
    this.#report();
  }

  /** Stops or resumes all announcements by a command. Resolves with the result. Throws LvsError. */
  async setWithdrawn(isWithdrawn: boolean): Promise<AnnouncementListing> {
    const { wanted, state, log } = this.#options;
    if (wanted() === undefined)
      throw new LvsError('INVALID', 'announce: not configured: the file has no section announce');
    if (state.changes.isWithdrawn !== isWithdrawn) {
      state.change({ isWithdrawn });
      if (isWithdrawn) log('info', 'vips-withdrawn-by-command', {});
      else log('info', 'vips-announced-by-command', {});
    }
    await this.#updating;
    await this.update();
    if (this.#bird) await withinLimit(this.#bird.set(this.#vips));
    if (isWithdrawn) await this.#handOver();
    return this.listing();
  }

  /**
   * Withdraws all VIPs, and hands the connections over; undefined: announces those that are ready again. Resolves when BIRD was
   * asked. Works without announcements, too.
   */
  async hold(reason: HoldReason | undefined): Promise<void> {
    this.#held = reason;
    await this.#updating;
    await this.update();
    if (this.#bird) await withinLimit(this.#bird.set(this.#vips));
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
    this.#isLeaving = true;
    await this.#updating;
    await this.update();
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

  /** Resolves with the VIPs and whether each can be served. Works in slices. */
  async #readiness({ vips }: AnnounceDocument): Promise<ReadonlyMap<string, VipReadiness>> {
    const { director, isReady, isDraining } = this.#options;
    const isRunning = isReady();
    const slice = new Slice();
    const all = new Map<string, boolean>((vips ?? []).map((vip) => [vip, false]));
    const served = new Set<string>();
    let areMarksAccepting = false;
    for (const service of director.context.services.all) {
      if (slice.spent) await slice.next();
      const address = service.mark === 0 ? this.#addressOf(service) : undefined;
      const isAccepting = isRunning && service.destinations.some((one) => one.weight > 0 && !one.overloaded);
      if (address === undefined) areMarksAccepting ||= isAccepting;
      else if (vips === undefined || all.has(address)) {
        served.add(address);
        all.set(address, isAccepting || all.get(address) === true);
      }
    }
    return new Map(
      [...all].map(([vip, isAccepting]): [string, VipReadiness] => {
        if (!served.has(vip)) return [vip, areMarksAccepting];
        return [vip, isRunning && !isAccepting && isDraining(vip) ? 'unchanged' : isAccepting];
      }),
    );
  }

  #addressOf(service: Service): string {
    const known = this.#addresses.get(service) ?? formatAddress(service.address);
    this.#addresses.set(service, known);
    return known;
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
            : (this.#held ?? 'not ready');
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
    this.#options.conditions.set('announce-failed', new Map(error ? [[error.kind, entry]] : []));
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

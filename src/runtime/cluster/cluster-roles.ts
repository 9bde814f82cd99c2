/**
 * Takes a place among the directors that announce a group of VIPs, or is a spare. A place is a key with the lease of the
 * director: another one takes it when the lease ends. What is not known changes nothing: a director that cannot reach etcd keeps
 * its roles.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Keys } from '../../cluster/keys.ts';
import { type Slot, slotNameOf } from '../../cluster/records.ts';
import { candidatesOf, claimsOf, placesOf } from '../../cluster/roles.ts';
import type { ClusterView } from '../../cluster/view.ts';
import type { KeyValue } from '../../etcd/answers.ts';
import type { EtcdClient, Operation } from '../../etcd/client.ts';
import { EtcdError } from '../../etcd/etcd-error.ts';
import type { VipGroup } from '../../model/announcement.ts';
import type { ClusterGroup, GroupRole } from '../../model/cluster.ts';
import type { Log } from '../log.ts';
import { GroupShortage } from './group-shortage.ts';
import { OtherAnnouncers } from './other-announcers.ts';

/** ms that a director gives those which are to claim a place before it. */
const RANK_MS = 1000;
/** ms that a director which cannot announce all VIPs of a group gives the others. */
const PARTLY_MS = 1000;
/** ms after which a director announces a group whose places it does not get to know. */
const UNDECIDED_MS = 3000;
/** ms for which a director that ends waits for etcd. */
const KEEP_MS = 1000;
/** ms until the answer to a change must have reached the copy of the keys. */
const PENDING_MS = 2000;
/** ms for which a director that gives up its places waits for others that announce the VIPs, and then for the routers. */
const TAKEN_MS = 1000;
const ROUTED_MS = 500;
const LOOK_MS = 10;
/** Places that the configuration does not have, and that are given up at a time: claims wait for them. */
const MAX_SURPLUS = 32;

/** Which VIPs of a group this director can announce now. */
export type GroupReadiness = 'all' | 'some' | 'none';

/** What this director announces, as far as groups of VIPs are concerned. */
export interface GroupAnnouncements {
  groupReadiness(group: string): GroupReadiness;
  /** Identifies the VIPs of a group: the same on directors that have the same VIPs in it. */
  groupId(group: string): string;
  /** Reports whether the VIPs of a group that are ready are announced. */
  announcesGroup(group: string): boolean;
}

export interface ClusterRolesOptions {
  readonly client: EtcdClient;
  readonly keys: Keys;
  readonly node: string;
  /** Identifies the process. */
  readonly instance: string;
  /** What the keys say; undefined: they are not those of this cluster, or not known yet. */
  readonly view: () => ClusterView | undefined;
  readonly values: ReadonlyMap<string, KeyValue>;
  /** The lease of this director; undefined: it has none now. */
  readonly lease: () => string | undefined;
  /** The groups of the configuration in effect. */
  readonly groups: () => readonly VipGroup[];
  readonly announcements: GroupAnnouncements;
  /** Called with all roles when one has changed. */
  readonly changed: (roles: Readonly<Record<string, GroupRole>>) => void;
  /** Called with each new role. */
  readonly event: (group: string, role: GroupRole) => void;
  readonly failed: (error: EtcdError) => void;
  readonly log: Log;
}

export class ClusterRoles {
  readonly shortage = new GroupShortage();
  readonly #options: ClusterRolesOptions;
  readonly #roles: Map<string, GroupRole>;
  /** Keys of places that were changed, with when the copy of the keys must have the change, ms. */
  readonly #pending = new Map<string, number>();
  /** When a group first had a place for this director, and when its role was first missing, ms. */
  readonly #freeSince = new Map<string, number>();
  readonly #undecidedSince = new Map<string, number>();
  readonly #others: OtherAnnouncers;
  #updating: Promise<void> | undefined;
  #isDue = false;
  #timer: NodeJS.Timeout | undefined;
  #yielding: Promise<void> | undefined;
  #isClosed = false;

  /** `roles`: of the former process. */
  constructor(options: ClusterRolesOptions, roles: Readonly<Record<string, GroupRole>>) {
    this.#options = options;
    this.#roles = new Map(Object.entries(roles));
    this.#others = new OtherAnnouncers(options.node, (group) => options.announcements.groupId(group));
  }

  /** Returns the role of this director; undefined: not decided yet, or the others do not announce the VIPs of the group yet. */
  role(group: string): GroupRole | undefined {
    const { view, groups } = this.#options;
    const role = this.#roles.get(group);
    const known = role === 'spare' ? view() : undefined;
    const configured = groups().find(({ name }) => name === group);
    if (!known || !configured) return role;
    return this.#others.haveAnnounced(known, configured, ROUTED_MS, performance.now()) ? role : undefined;
  }

  get groups(): readonly ClusterGroup[] {
    const view = this.#options.view();
    return this.#options.groups().map(({ name, active: wanted }) => {
      const role = this.#roles.get(name);
      const holders = view ? placesOf(view, name, wanted).holders.flatMap((node) => node ?? []) : [];
      return { name, wanted, holders, ...(role && { role }) };
    });
  }

  /** Does what the keys and the readiness of VIPs demand now. Call it when they change, at least once a second. */
  update(): Promise<void> {
    this.#isDue = true;
    this.#updating ??= this.#updateRepeatedly().finally(() => {
      this.#updating = undefined;
    });
    return this.#updating;
  }

  /**
   * Gives up the places of groups that this director can no longer announce, and resolves when other directors announce them:
   * at once if there is none. The VIPs have to stay announced until then.
   */
  yield(): Promise<void> {
    this.#yielding ??= this.#yield().finally(() => {
      this.#yielding = undefined;
    });
    return this.#yielding;
  }

  /** Keeps the places for the next process, for these seconds, if etcd answers in time. Throws EtcdError. */
  async keep(seconds: number): Promise<void> {
    this.close();
    await Promise.race([this.#keep(seconds), sleep(KEEP_MS)]);
  }

  async #keep(seconds: number): Promise<void> {
    await this.#updating;
    const own = this.#own();
    if (own.length === 0) return;
    const { client, values } = this.#options;
    const compare = own.map((key) => ({ key, modRevision: values.get(key)!.modRevision }));
    const lease = await client.grantLease(seconds);
    await client.txn(
      compare,
      own.map((key) => this.#put(key, lease, true)),
    );
  }

  /** Changes no more. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  async #updateRepeatedly(): Promise<void> {
    while (this.#isDue && !this.#isClosed) {
      this.#isDue = false;
      try {
        await this.#update();
        this.shortage.failed(undefined);
      } catch (error) {
        if (!(error instanceof EtcdError)) throw error;
        this.shortage.failed(error);
        this.#options.failed(error);
      }
    }
  }

  async #update(): Promise<void> {
    const { view, groups, announcements, lease } = this.#options;
    const now = performance.now();
    for (const [key, until] of this.#pending) if (until <= now) this.#pending.delete(key);
    this.#forget(new Set(groups().map(({ name }) => name)));
    this.#decideAlone(now);
    const ownLease = lease();
    if (ownLease === undefined) return;
    for (const key of this.#own()) await this.#review(key, ownLease);
    const known = view();
    if (!known) return;
    const places = groups().map(({ name, active }) => placesOf(known, name, active));
    this.#others.update(known, groups(), now);
    const isAble = (group: string) => announcements.groupReadiness(group) !== 'none';
    const candidates = [...new Set([...candidatesOf(known), this.#options.node])];
    const claims = claimsOf(places, candidates, this.#options.node, isAble);
    let next = Number.POSITIVE_INFINITY;
    for (const { name, holders } of places) {
      const claim = claims.get(name);
      if (holders.includes(this.#options.node)) continue;
      if (holders.every((node) => node !== undefined)) this.#set(name, 'spare');
      if (!claim || this.#isPending(name)) {
        this.#freeSince.delete(name);
        continue;
      }
      const since = this.#freeSince.get(name) ?? now;
      this.#freeSince.set(name, since);
      const due =
        since + claim.rank * RANK_MS + (announcements.groupReadiness(name) === 'all' ? 0 : PARTLY_MS);
      if (due > now) next = Math.min(next, due - now);
      else if (await this.#claim(name, claim.place, ownLease)) this.#set(name, 'active');
    }
    clearTimeout(this.#timer);
    if (next < Number.POSITIVE_INFINITY) this.#timer = setTimeout(() => void this.update(), next).unref();
  }

  /** Returns the keys of places with the name of this director, those that the configuration has first. */
  #own(): string[] {
    const { view, node, keys, groups } = this.#options;
    const wanted = new Map(groups().map(({ name, active }) => [name, active]));
    const configured: string[] = [];
    const surplus: string[] = [];
    for (const [name, slot] of view()?.slots ?? []) {
      if (slot.node !== node) continue;
      const { group, place } = slotNameOf(name)!;
      (place < (wanted.get(group) ?? 0) ? configured : surplus).push(keys.slots + name);
    }
    return [...configured, ...surplus.slice(0, MAX_SURPLUS)];
  }

  /** Confirms an own place, or gives it up. */
  async #review(key: string, lease: string): Promise<void> {
    const { view: viewNow, groups, keys, announcements, instance, node } = this.#options;
    const { group: name, place } = slotNameOf(key.slice(keys.slots.length))!;
    // Keys may have changed while others were reviewed.
    const view = viewNow();
    const slot = view?.slots.get(`${name}/${place}`);
    if (!view || slot?.node !== node || this.#pending.has(key)) return;
    const wanted = groups().find((group) => group.name === name)?.active ?? 0;
    const first = placesOf(view, name, wanted).holders.indexOf(node);
    const isSurplus = !(place < wanted) || (first >= 0 && first < place);
    const isFormer = slot.instance !== instance;
    const isAble = announcements.groupReadiness(name) !== 'none';
    const isSame = !isFormer && slot.announced === this.#announced(name);
    // This director may be about to be ready again when its former process has left a place.
    if (isSurplus || (!isAble && !isFormer)) await this.#change(key, { remove: key });
    else if (isAble && (isSame || (await this.#change(key, this.#put(key, lease, false)))))
      this.#set(name, 'active');
  }

  /** Resolves with whether this director has the place now. */
  async #claim(group: string, place: number, lease: string): Promise<boolean> {
    const { view, keys } = this.#options;
    const key = keys.slot(group, place);
    const known = view();
    // Another director may have claimed it while this one has claimed others.
    if (!known || placesOf(known, group, place + 1).holders[place] !== undefined) return false;
    return await this.#change(key, this.#put(key, lease, false));
  }

  #put(key: string, lease: string, isKept: boolean): Operation {
    const { node, instance, keys } = this.#options;
    const { group } = slotNameOf(key.slice(keys.slots.length))!;
    const slot: Slot = { node, instance, isKept, announced: this.#announced(group) };
    return { put: key, value: JSON.stringify(slot), lease };
  }

  /** Identifies the VIPs of a group that this director announces; empty: it does not yet. */
  #announced(group: string): string {
    const { announcements } = this.#options;
    return announcements.announcesGroup(group) ? announcements.groupId(group) : '';
  }

  /** Changes a key unless another director has changed it. Resolves with whether it was changed. */
  async #change(key: string, operation: Operation): Promise<boolean> {
    const { client, values } = this.#options;
    const modRevision = values.get(key)?.modRevision ?? 0;
    const { succeeded, ranges } = await client.txn([{ key, modRevision }], [operation], [{ range: key }]);
    const stored = ranges[0]?.values[0];
    // A request that was repeated finds what the first one has written.
    const isDone = succeeded || ('value' in operation && stored?.value.toString() === operation.value);
    if (isDone && values.get(key)?.modRevision === (modRevision || undefined))
      this.#pending.set(key, performance.now() + PENDING_MS);
    return isDone;
  }

  /** Call it with the keys that have changed. */
  seen(changed: Iterable<string>): void {
    for (const key of changed) this.#pending.delete(key);
  }

  #isPending(group: string): boolean {
    const prefix = this.#options.keys.slot(group, 0).slice(0, -1);
    return [...this.#pending.keys()].some((key) => key.startsWith(prefix));
  }

  /** A director that does not get to know who announces a group does so. */
  #decideAlone(now: number): void {
    const { groups, announcements } = this.#options;
    for (const { name } of groups()) {
      if (this.#roles.has(name) || announcements.groupReadiness(name) === 'none') {
        this.#undecidedSince.delete(name);
        continue;
      }
      const since = this.#undecidedSince.get(name) ?? now;
      this.#undecidedSince.set(name, since);
      if (now - since >= UNDECIDED_MS) this.#set(name, 'active');
    }
  }

  /** Forgets the roles in groups that the configuration no longer has. */
  #forget(names: ReadonlySet<string>): void {
    const former = [...this.#roles.keys()].filter((name) => !names.has(name));
    for (const name of former) this.#roles.delete(name);
    if (former.length > 0) this.#options.changed(Object.fromEntries(this.#roles));
  }

  #set(group: string, role: GroupRole): void {
    if (this.#roles.get(group) === role) return;
    this.#roles.set(group, role);
    this.#options.log('info', 'cluster-role', { group, role });
    this.#options.event(group, role);
    this.#options.changed(Object.fromEntries(this.#roles));
  }

  async #yield(): Promise<void> {
    const { view, node, groups } = this.#options;
    const places = () => {
      const known = view();
      return known ? groups().map(({ name, active }) => placesOf(known, name, active)) : [];
    };
    const deadline = performance.now() + TAKEN_MS;
    const held = new Set(places().flatMap(({ name, holders }) => (holders.includes(node) ? name : [])));
    if (held.size === 0 || this.#isClosed) return;
    await Promise.race([this.update(), sleep(TAKEN_MS)]);
    const known = view();
    const spares = known ? candidatesOf(known).filter((each) => each !== node) : [];
    if (spares.length === 0) return;
    const isLeft = () =>
      places().some(({ name, holders }) => {
        if (!held.has(name)) return false;
        const isFree = holders.some((each) => each === undefined || each === node);
        if (isFree) return spares.some((each) => !holders.includes(each));
        return holders.some((_, place) => view()!.slots.get(`${name}/${place}`)!.announced === '');
      });
    while (isLeft() && performance.now() < deadline) await sleep(LOOK_MS);
    await sleep(ROUTED_MS);
  }
}

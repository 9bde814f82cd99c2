/**
 * Agrees with the other hosts which host accepts the new connections of which places.
 *
 * The host with the lowest id of those that receive each other is the coordinator. It makes a view: members, weights,
 * and an epoch. Each member computes the same owners from the view. Members enter three phases, each when the
 * coordinator's heartbeat permits it, which is after all members reported the phase before:
 *
 *   PREPARED   the view is known, and nothing changes yet: a slow or lost heartbeat leaves no place without owner
 *   RELEASED   the view is in force: the host gives up the places that are another host's, three periods later
 *   SERVING    the host takes its places
 *
 * Safety: each heartbeat states how long the sender still accepts places of others. A host takes its places when it has
 * received this of all members, and when that time has passed since it received it, so the sender has stopped before. The
 * fastest of several heartbeats counts, so a place has no owner for less than a heartbeat travels. Hosts that left the view
 * have stopped before: the coordinator waits `lossTime` after their last heartbeat, and they stop `leaseTime` after the last
 * one that was confirmed. A host whose lease has ended asks the others whether the view is still in force (doubt.ts). No clocks
 * are compared; only their rates must agree. A segment that is cut leaves each part with a cluster of its hosts.
 */
import type { ConvergenceOptions, ConvergenceStatus } from './convergence-options.ts';
import { Coordinator, STABLE_PERIODS } from './coordinator.ts';
import { Doubt } from './doubt.ts';
import {
  type Heartbeat,
  type HostState,
  isMember,
  type Member,
  type Phase,
  PREPARED,
  RELEASED,
  SERVING,
  sameEpoch,
  type View,
} from './heartbeat.ts';
import { type HandOver, OwnPlaces } from './own-places.ts';
import { Pauses } from './pauses.ts';
import { leaseTime, lossTime, type Peer, Peers } from './peers.ts';
import { GROUP_SHIFT } from './places.ts';
import { Twin } from './twin.ts';

/** A view that this host follows, with its owners. */
interface Held {
  readonly view: View;
  readonly owners: readonly Uint8Array[];
  phase: Phase;
}

/** Periods for which a host may serve without a call of `tick`, whatever others have confirmed. */
const LEASE_PERIODS = 2;
/** Heartbeats during a change are sent so many times as often. */
const URGENT_RATE = 4;
/** Periods for which a host accepts places of others after it announced that it gives them up. */
const LEAD_PERIODS = 3;

export class Convergence {
  /** The places whose new connections this host accepts. */
  readonly places: OwnPlaces;
  readonly #options: ConvergenceOptions;
  readonly #peers: Peers;
  readonly #twin: Twin;
  readonly #coordinator: Coordinator;
  readonly #doubt: Doubt;
  readonly #pauses: Pauses;
  #boot: number;
  #sequence = 0;
  #startedAt: number;
  #sentAt = Number.NEGATIVE_INFINITY;
  #state: HostState = 'active';
  #weights: readonly number[];
  /** Greatest counter of a view that this host accepted or made. */
  #counter = 0;
  #held: Held | undefined;
  /** The view whose places this host has released or serves. */
  #inForce: Held | undefined;
  /** Heartbeats sent since the view in force was released. */
  #sentInForce = 0;
  /** The hand-over by which the places were taken. */
  #taken: HandOver | undefined;
  #orphanedAt: number | undefined;
  #isUrgent = false;

  constructor(options: ConvergenceOptions, now: number) {
    this.#options = options;
    this.#weights = options.weights;
    this.#boot = options.newBoot();
    this.#startedAt = now;
    this.#pauses = new Pauses(options.period, now);
    this.#peers = new Peers(this.#self(), options);
    this.#twin = new Twin(lossTime(options));
    this.#coordinator = new Coordinator(options);
    this.#doubt = new Doubt(options.hosts);
    const none = options.assign([]).map(({ length }) => new Uint8Array(length));
    this.places = new OwnPlaces(options.id, none);
  }

  get status(): ConvergenceStatus {
    return {
      state: this.#state,
      view: this.#inForce?.view,
      isConverged: this.#inForce !== undefined && this.#held?.phase === SERVING && this.places.isSettled,
      owners: this.#inForce?.owners ?? [],
      peers: this.#peers.all().map(({ beat }) => beat),
    };
  }

  /** Returns the id of the host that accepts new connections of a place in the view in force: its owner, or who keeps it. */
  ownerOf(rule: number, place: number): number | undefined {
    const group = place >> GROUP_SHIFT;
    if (this.places.kept.get(rule)?.[group]) return this.#options.id;
    const keeper = this.#peers.all().find(({ beat }) => beat.kept.get(rule)?.[group]);
    return keeper?.beat.id ?? this.#inForce?.owners[rule]?.[place];
  }

  /** Sets the own weights, of which the next view is made. */
  setWeights(weights: readonly number[]): void {
    if (weights.join() === this.#weights.join()) return;
    this.#weights = [...weights];
    this.#isUrgent = true;
  }

  /** Takes a heartbeat of another host. Returns false for old and repeated ones. */
  receive(beat: Heartbeat, now: number): boolean {
    if (beat.id === this.#options.id) {
      if (beat.boot === this.#boot) return false;
      this.#twin.receive(beat, now);
    } else {
      const { beat: last, receivedAt = 0 } = this.#peers.get(beat.id) ?? {};
      if (!this.#peers.receive(beat, now)) return false;
      if (last?.boot !== beat.boot || now - receivedAt > LEASE_PERIODS * this.#options.period)
        this.#isUrgent = true;
      if (this.#isExcludedBy(beat)) this.#drop();
    }
    if (!this.#pauses.isReceiving(now)) this.#step(now);
    return true;
  }

  /** Lets time pass; at most a quarter of a period may lie between two calls. Returns whether to send a heartbeat. */
  tick(now: number): boolean {
    const pause = this.#pauses.tick(now);
    if (pause > 0) {
      this.#isUrgent = true;
      this.#peers.prolong(pause);
      // Others may have taken the places.
      if (now >= this.#confirmedLease() && !this.#beginDoubt(now)) this.#joinAgain(now);
    }
    if (this.#pauses.isReceiving(now)) return false;
    this.#step(now);
    return !this.#isListening(now) && this.#isDue(now);
  }

  /** Returns the heartbeat to send now. What `places` has lost must be in effect before it is sent. */
  heartbeat(now: number): Heartbeat {
    this.#sequence++;
    this.#sentAt = now;
    this.#sentInForce++;
    this.#isUrgent = false;
    this.#peers.sent(this.#sequence, now);
    const { beat } = this.#twin;
    const received = [...this.#peers.all().map((peer) => peer.beat), ...(beat ? [beat] : [])];
    const { led } = this.#coordinator;
    return {
      ...this.#self(),
      sequence: this.#sequence,
      configuration: this.#options.configuration,
      state: this.#state,
      received: received.map(({ id, boot, sequence }) => ({ id, boot, sequence })),
      counter: this.#counter,
      ...(this.#held && { held: { epoch: this.#held.view.epoch, phase: this.#held.phase } }),
      ...(this.#inForce && { inForce: this.#inForce.view.epoch }),
      ...(led && { led }),
      ends: Math.max(0, Math.ceil(this.places.endsAt - now)),
      kept: this.places.kept,
    };
  }

  /** Returns the time until which the places may be served without another call of `tick`. */
  leaseUntil(now: number): number {
    if (this.#doubt.since !== undefined) return Number.NEGATIVE_INFINITY;
    const confirmed = this.#confirmedLease();
    return this.#pauses.isRecent(now)
      ? confirmed
      : Math.max(confirmed, now + LEASE_PERIODS * this.#options.period);
  }

  /** Returns the time before which no host takes the places of this one; those that are no members yet take them, too. */
  #confirmedLease(): number {
    const held = this.#inForce;
    const takes = ({ beat, isConfirmed }: Peer) => isConfirmed || (held && isMember(held.view, beat));
    const times = this.#peers.all().flatMap((peer) => (takes(peer) ? [peer.confirmedAt] : []));
    return Math.min(this.#sentAt, ...times) + leaseTime(this.#options);
  }

  #self(): Member {
    return { id: this.#options.id, boot: this.#boot, weights: this.#weights };
  }

  /** Before a host sends its first heartbeat, it receives those of others. */
  #isListening(now: number): boolean {
    return now - this.#startedAt < STABLE_PERIODS * this.#options.period;
  }

  #isDue(now: number): boolean {
    const { period } = this.#options;
    const phase = this.#coordinator.led?.phase ?? this.#held?.phase ?? SERVING;
    const since = now - this.#sentAt;
    const isChanging = phase < SERVING || this.places.endsAt > now || this.#doubt.since !== undefined;
    return this.#isUrgent || since >= (isChanging ? period / URGENT_RATE : period);
  }

  #step(now: number): void {
    this.#peers.expire(now);
    this.places.settle(now);
    this.#setState(this.#stateNow(now));
    if (this.#state !== 'active' || this.#isListening(now) || this.#isInDoubt(now)) return;
    const mutual = this.#peers.mutual(this.#options.configuration).map(({ beat }) => beat);
    const [lowest] = mutual.toSorted((a, b) => a.id - b.id);
    if (lowest && lowest.id < this.#options.id) {
      this.#coordinator.resign();
      this.#follow(lowest, now);
    } else this.#coordinate(mutual, now);
    this.#takePlaces(now);
    if (this.#inForce && this.places.giveUp(this.#inForce.owners, this.#options.recent, now))
      this.#isUrgent = true;
    this.#leaveOrphanedView(mutual, now);
  }

  #stateNow(now: number): HostState {
    if (this.#twin.wins(this.#self(), this.#inForce !== undefined, now)) return 'duplicate';
    const { configuration, id } = this.#options;
    const isMismatch = this.#peers.haveOther(configuration, this.#inForce ? id : undefined);
    if (isMismatch) return 'mismatch';
    return this.#peers.deaf(now) && !this.#beginDoubt(now) ? 'muted' : 'active';
  }

  /** Asks the others, unless a change is under way. Returns whether there is a doubt. */
  #beginDoubt(now: number): boolean {
    const held = this.#inForce;
    if (!held || held !== this.#held || held.phase < SERVING || !this.places.isSettled) return false;
    return this.#doubt.begin(held.view, now);
  }

  #isInDoubt(now: number): boolean {
    const { since } = this.#doubt;
    if (since === undefined) return false;
    const found = this.#doubt.resolve(this.#inForce!.view, this.#self(), this.#peers.all());
    if (found === 'in force') this.#doubt.end();
    else if (found === 'over' || now - since > lossTime(this.#options)) this.#joinAgain(since);
    return found !== 'in force';
  }

  /** `since`: from when on this host has sent and received. */
  #joinAgain(since: number): void {
    this.#drop();
    this.#startedAt = since;
    this.#peers.awaitFrom(since);
  }

  #setState(state: HostState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#isUrgent = true;
    if (state !== 'active') this.#drop();
  }

  /** Accepts nothing from now on. The host joins again as another run: others may have given its places away. */
  #drop(): void {
    this.#coordinator.resign();
    this.#doubt.end();
    if (!this.#held && !this.#inForce) return;
    this.places.clear();
    this.#held = undefined;
    this.#inForce = undefined;
    this.#orphanedAt = undefined;
    this.#isUrgent = true;
    this.#boot = this.#options.newBoot();
    this.#sequence = 0;
    this.#peers.restart(this.#boot);
  }

  #coordinate(mutual: readonly Heartbeat[], now: number): void {
    const received = this.#peers.all().map(({ beat }) => beat.id);
    const inForce = this.#inForce?.view;
    const isAnnounced = this.#sentInForce > 0;
    const [self, counter, startedAt] = [this.#self(), this.#counter, this.#startedAt];
    this.#coordinator.step({ self, inForce, counter, mutual, received, startedAt, isAnnounced }, now);
    const { led } = this.#coordinator;
    if (led) this.#enter(led.view, led.phase, now);
  }

  #follow({ led }: Heartbeat, now: number): void {
    if (!led || !isMember(led.view, this.#self())) return;
    const { epoch } = led.view;
    if (epoch.counter > this.#counter || sameEpoch(this.#held?.view.epoch, epoch))
      this.#enter(led.view, led.phase, now);
  }

  /** Enters a view, and its next phase if `phase` permits it. */
  #enter(view: View, phase: Phase, now: number): void {
    if (!this.#held || !sameEpoch(this.#held.view.epoch, view.epoch)) {
      this.#held = { view, owners: this.#options.assign(view.members), phase: PREPARED };
      this.#counter = Math.max(this.#counter, view.epoch.counter);
      this.#isUrgent = true;
    }
    const held = this.#held;
    if (held.phase >= phase) return;
    held.phase = held.phase === PREPARED ? RELEASED : SERVING;
    this.#isUrgent = true;
    if (held.phase === RELEASED) this.#release(held, now);
  }

  #release(held: Held, now: number): void {
    const { id, period, recent } = this.#options;
    const own = held.view.members.find((member) => member.id === id)!;
    const { isMerge } = held.view;
    // A host that takes no new connections of a rule keeps no clients.
    const keep = isMerge ? [] : [...recent(now)].filter(([rule]) => own.weights[rule]! > 0);
    this.places.release(held.owners, now, isMerge ? 0 : LEAD_PERIODS * period, new Map(keep));
    this.#inForce = held;
    this.#sentInForce = 0;
    this.#taken = undefined;
    this.#orphanedAt = undefined;
  }

  /** Takes the places of the view in force, as soon as it is known of all members when they give them up. */
  #takePlaces(now: number): void {
    const held = this.#inForce;
    if (!held || held !== this.#held || held.phase !== SERVING || this.#taken?.isFinal) return;
    const handOver = this.#peers.handOver(held.view);
    if (!handOver || (handOver.key === this.#taken?.key && !handOver.isFinal)) return;
    this.#taken = handOver;
    this.places.take(held.owners, handOver, now);
  }

  /** Reports whether a member of the view in force makes a later view without this host. */
  #isExcludedBy(beat: Heartbeat): boolean {
    const view = this.#inForce?.view;
    const later = beat.led?.view;
    if (!view || !later || !isMember(view, beat)) return false;
    return later.epoch.counter > view.epoch.counter && !isMember(later, this.#self());
  }

  /** Stops if the coordinator of the view in force is lost, and no other one makes a view. */
  #leaveOrphanedView(mutual: readonly Heartbeat[], now: number): void {
    if (!this.#inForce) return;
    const { coordinator, boot } = this.#inForce.view.epoch;
    const candidates: readonly Member[] = [this.#self(), ...mutual];
    const isReceived = candidates.some((host) => host.id === coordinator && host.boot === boot);
    this.#orphanedAt = isReceived ? undefined : (this.#orphanedAt ?? now);
    if (this.#orphanedAt !== undefined && now - this.#orphanedAt > lossTime(this.#options)) this.#drop();
  }
}

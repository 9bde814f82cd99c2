/** The other hosts as this one receives them, and whether they receive this one. */
import { type Heartbeat, sameEpoch, type View } from './heartbeat.ts';
import type { HandOver } from './own-places.ts';

export interface Timing {
  /** ms between two heartbeats. */
  readonly period: number;
  /** Heartbeats that may be missed: a host is lost after `missed` periods. */
  readonly missed: number;
}

/** Share by which the rates of two hosts' clocks, and the delays of their timers, may differ. */
const DRIFT = 0.05;

/** ms after the last received heartbeat at which a host is lost. */
export const lossTime = ({ period, missed }: Timing): number => period * missed;
/** ms after the last confirmed heartbeat at which a host must have stopped: others do not start before `lossTime`. */
export const leaseTime = (timing: Timing): number => lossTime(timing) * (1 - DRIFT);

/** Share by which the rates of two hosts' clocks differ at most while places change their owners. */
const CLOCK_DRIFT = 0.002;

/** Periods of silence after which a heartbeat of another boot replaces a host. */
const REPLACE_PERIODS = 2;
/** Runs of hosts whose last sequence is remembered. */
const MAX_RUNS = 1024;
/** Periods by which a host's confirmation may lag behind its last heartbeat. */
const LAG_PERIODS = 2;

export interface Peer {
  beat: Heartbeat;
  receivedAt: number;
  /** When the newest heartbeat was sent that this peer confirmed; before the first one, when the peer was first received. */
  confirmedAt: number;
  isConfirmed: boolean;
  /** When the peer has given up, at the latest, the places of others in its view in force. */
  endsAt: number;
  /** ms in which this host could not receive since. */
  prolonged: number;
}

export class Peers {
  readonly #timing: Timing;
  #own: Pick<Heartbeat, 'id' | 'boot'>;
  readonly #byId = new Map<number, Peer>();
  /** The last sequence by host and boot, of lost ones, too: recorded heartbeats are not accepted. */
  readonly #sequences = new Map<string, number>();
  /** When heartbeats of the last moments were sent, by their sequence. */
  readonly #sentAt = new Map<number, number>();

  constructor(own: Pick<Heartbeat, 'id' | 'boot'>, timing: Timing) {
    this.#own = own;
    this.#timing = timing;
  }

  /** Begins another run of this host, which the others have to confirm. */
  restart(boot: number): void {
    this.#own = { id: this.#own.id, boot };
    this.#sentAt.clear();
    for (const peer of this.#byId.values()) peer.isConfirmed = false;
  }

  /** Expects confirmations from then on, and forgets earlier ones: this host was paused before. */
  awaitFrom(since: number): void {
    for (const peer of this.#byId.values()) {
      peer.confirmedAt = since;
      peer.isConfirmed = false;
    }
  }

  /** Takes a heartbeat. Returns false for old ones, repeated ones, and those of a second host with the id. */
  receive(beat: Heartbeat, now: number): boolean {
    const before = this.#byId.get(beat.id);
    const isSame = before?.beat.boot === beat.boot;
    const run = `${beat.id}/${beat.boot}`;
    if (beat.sequence <= (this.#sequences.get(run) ?? 0)) return false;
    const confirmed = this.#confirmedBy(beat);
    const isSilent = before && now - before.receivedAt > REPLACE_PERIODS * this.#timing.period;
    if (before && !isSame && !isSilent && (before.isConfirmed || confirmed === undefined)) return false;
    // The newest runs are the last ones of the map.
    this.#sequences.delete(run);
    this.#sequences.set(run, beat.sequence);
    if (this.#sequences.size > MAX_RUNS) this.#sequences.delete(this.#sequences.keys().next().value!);
    const kept = isSame ? before : undefined;
    const endsAt = now + beat.ends * (1 + CLOCK_DRIFT);
    const isSameView = sameEpoch(kept?.beat.inForce, beat.inForce);
    this.#byId.set(beat.id, {
      beat,
      receivedAt: now,
      confirmedAt: confirmed ?? kept?.confirmedAt ?? now,
      isConfirmed: confirmed !== undefined || (kept?.isConfirmed ?? false),
      // The heartbeat that travelled fastest tells the time best.
      endsAt: isSameView ? Math.min(kept!.endsAt, endsAt) : endsAt,
      prolonged: 0,
    });
    return true;
  }

  /** Notes that a heartbeat is sent. */
  sent(sequence: number, now: number): void {
    this.#sentAt.set(sequence, now);
    for (const [old, at] of this.#sentAt) {
      if (now - at <= 2 * lossTime(this.#timing)) break;
      this.#sentAt.delete(old);
    }
  }

  /** Forgets lost hosts. */
  expire(now: number): void {
    for (const [id, { receivedAt, prolonged }] of this.#byId)
      if (now - receivedAt - prolonged > lossTime(this.#timing)) this.#byId.delete(id);
  }

  /** Prolongs the time until hosts are lost: this one could not receive for `ms`. */
  prolong(ms: number): void {
    for (const peer of this.#byId.values()) peer.prolonged += ms;
  }

  get(id: number): Peer | undefined {
    return this.#byId.get(id);
  }

  all(): Peer[] {
    return [...this.#byId.values()];
  }

  /** Returns the active hosts with this configuration that confirm this host's heartbeats. */
  mutual(configuration: number): Peer[] {
    return this.all().filter(
      ({ beat, receivedAt, isConfirmed, confirmedAt }) =>
        beat.state === 'active' &&
        beat.configuration === configuration &&
        isConfirmed &&
        receivedAt - confirmedAt <= lossTime(this.#timing),
    );
  }

  /** Reports whether a host serves with another configuration; `below`: only hosts with lower ids count. */
  haveOther(configuration: number, below = Number.POSITIVE_INFINITY): boolean {
    return this.all().some(
      ({ beat, isConfirmed }) =>
        isConfirmed && beat.configuration !== configuration && beat.inForce && beat.id < below,
    );
  }

  /** Returns an active host that this one receives, but that does not receive this one any more. */
  deaf(now: number): Peer | undefined {
    const { period } = this.#timing;
    return this.all().find(
      ({ beat, receivedAt, confirmedAt }) =>
        beat.state === 'active' &&
        receivedAt - confirmedAt > LAG_PERIODS * period &&
        now - confirmedAt > leaseTime(this.#timing),
    );
  }

  /** Returns when the other members of the view have given up places, and what they keep; undefined unless all have said it. */
  handOver({ epoch, members }: View): HandOver | undefined {
    const others = members.filter(({ id }) => id !== this.#own.id);
    const peers = others.flatMap(({ id, boot }) => {
      const peer = this.#byId.get(id);
      return peer?.beat.boot === boot && sameEpoch(peer.beat.inForce, epoch) ? [peer] : [];
    });
    if (peers.length < others.length) return undefined;
    const endsAt = Math.max(Number.NEGATIVE_INFINITY, ...peers.map((peer) => peer.endsAt));
    const kept = peers.map(({ beat }) => beat.kept);
    // Kept groups only become fewer as long as the view is in force.
    const counts = kept.flatMap((groups) =>
      [...groups.values()].map((bits) => bits.reduce((a, b) => a + b, 0)),
    );
    const isFinal = peers.every(({ beat }) => beat.ends === 0 && beat.kept.size === 0);
    return { endsAt, kept, key: [endsAt, ...counts].join(), isFinal };
  }

  #confirmedBy({ received }: Heartbeat): number | undefined {
    const { id, boot } = this.#own;
    const own = received.find((each) => each.id === id && each.boot === boot);
    return own && this.#sentAt.get(own.sequence);
  }
}

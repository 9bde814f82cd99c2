/**
 * Believes heartbeats, or not. Uses no sockets. Times are ms of one clock, which needs not agree with that of others.
 *
 * A heartbeat is believed if its tag is right, if its counter is higher than that of every heartbeat of the same run that was
 * believed before, and if that run has returned an answer of this receiver that is at most 30 s old. Answers are
 * computed from a secret of this receiver, which it makes at its start, so a recorded heartbeat proves nothing to a receiver
 * that started later. Nothing is stored for a sender that has not answered.
 */
import { HEARTBEAT_OUTCOMES, type HeartbeatOutcome } from '../model/joined.ts';
import { isTagged, tagOf } from '../wire/message-tag.ts';
import { ANSWER_BYTES, decodeHeartbeat, encodeChallenge, type Heartbeat, kindOf } from './heartbeat-codec.ts';
import type { Announcement, MemberSink } from './member.ts';

/** For how long a question is the same, and in how many such periods its answer counts, the present one included. */
const EPOCH_MS = 10_000;
const EPOCHS = 3;
/** For how long answers may count: what a run has said is remembered for that time. */
const MEMORY_MS = EPOCH_MS * EPOCHS;
/** Runs of one server that ended within this time; the next one has to wait. */
const MAX_ENDED_RUNS = 8;

/** Datagrams that are verified within this time, beside those that are expected: 200 take about 2 ms. */
const BUDGET_PERIOD_MS = 100;
const BUDGET = 200;

/** An announcement that is repeated is passed on again after this time: what was refused may be accepted now. */
const REPEAT_MS = 5000;
/** The clock went on without `tick` for longer: this process did not run, and received nothing. */
const PAUSE_MS = 500;

/** A server whose heartbeats are believed. */
interface Sender {
  run: string;
  counter: number;
  /** Time of the last heartbeat. */
  received: number;
  /** Number of the period whose question it has answered. */
  proven: number;
  isLost: boolean;
  /** What it announced, and when that was passed on. */
  announcement: Announcement;
  passed: number;
  /** Its former runs, with the times until which they must not be believed. */
  ended: { readonly run: string; readonly until: number }[];
}

export interface ReceiverOptions {
  readonly members: MemberSink;
  /** Random bytes, 16 at least. */
  readonly secret: Uint8Array;
  /** Sends a datagram to the sender of a heartbeat. */
  readonly reply: (challenge: Buffer, to: Peer) => void;
}

export interface Peer {
  readonly address: string;
  readonly port: number;
}

export interface ReceiverSettings {
  /** The first one signs. */
  readonly keys: readonly Uint8Array[];
  /** ms between two heartbeats of a server. */
  readonly period: number;
  /** ms without a heartbeat after which a server counts as lost. */
  readonly timeout: number;
  /** Servers that are believed at the same time, and those that left lately. */
  readonly maxSenders: number;
}

export class HeartbeatReceiver {
  readonly counts = Object.fromEntries(HEARTBEAT_OUTCOMES.map((each) => [each, 0])) as Record<
    HeartbeatOutcome,
    number
  >;
  readonly #options: ReceiverOptions;
  #settings: ReceiverSettings = { keys: [], period: 1, timeout: 0, maxSenders: 0 };
  readonly #senders = new Map<string, Sender>();
  #budget = { from: Number.NEGATIVE_INFINITY, left: 0 };
  /** When the budget was exceeded last. */
  #overloaded = Number.NEGATIVE_INFINITY;
  #ticked: number | undefined;

  constructor(options: ReceiverOptions) {
    this.#options = options;
  }

  configure(settings: ReceiverSettings, now: number): void {
    this.#settings = settings;
    for (const sender of this.#senders.values()) this.#pass(sender, now);
  }

  /** Expects heartbeats of a server that another process has known. */
  expect(announcement: Announcement, now: number): void {
    const { node, run } = announcement;
    const sender = { run, counter: 0, received: now, proven: Number.NEGATIVE_INFINITY, isLost: false };
    this.#senders.set(node, { ...sender, announcement, passed: now, ended: [] });
  }

  receive(datagram: Buffer, from: Peer, now: number): HeartbeatOutcome {
    const outcome = this.#receive(datagram, from, now);
    this.counts[outcome]++;
    return outcome;
  }

  /** Finds the servers that are silent. Call it every 100 ms or so. */
  tick(now: number): void {
    const paused = now - (this.#ticked ?? Number.NEGATIVE_INFINITY);
    this.#ticked = now;
    const isDeaf = now - this.#overloaded < this.#settings.timeout;
    for (const [node, sender] of this.#senders) {
      if (paused > PAUSE_MS) sender.received = Math.min(now, sender.received + paused);
      sender.ended = sender.ended.filter(({ until }) => until > now);
      const silence = now - sender.received;
      if (silence >= this.#settings.timeout && !sender.isLost && !isDeaf) {
        sender.isLost = true;
        this.#options.members.lose(node, now);
      }
      // A later start of the same run cannot be believed by answers of this time any more.
      if (silence > MEMORY_MS && !this.#options.members.has(node)) this.#senders.delete(node);
    }
  }

  #receive(datagram: Buffer, from: Peer, now: number): HeartbeatOutcome {
    if (kindOf(datagram) !== 'heartbeat') return 'foreign';
    if (!this.#mayVerify(now)) return 'overload';
    const { keys, maxSenders } = this.#settings;
    if (!isTagged(keys, datagram)) return 'unauthenticated';
    const beat = decodeHeartbeat(datagram);
    if (!beat) return 'malformed';
    const { node, run, counter } = beat;
    const known = this.#senders.get(node);
    const isSameRun = known?.run === run;
    if (isSameRun && counter <= known.counter) return 'replayed';
    if (known?.ended.some((each) => each.run === run)) return 'replayed';
    const epoch = Math.floor(now / EPOCH_MS);
    const proven = Math.max(this.#provenBy(beat, epoch), isSameRun ? known.proven : Number.NEGATIVE_INFINITY);
    // Before the present answer counts no more, the director asks again.
    if (proven < epoch) this.#ask(beat, epoch, from);
    if (proven <= epoch - EPOCHS) return 'unproven';
    if (!known && this.#senders.size >= maxSenders) return 'overload';
    if (known && !isSameRun && known.ended.length >= MAX_ENDED_RUNS) return 'unproven';
    const { members } = this.#options;
    const { state, places } = beat;
    const announcement = { node, run, state, places };
    if (isSameRun) {
      const isRepeated = isEqual(announcement, known.announcement) && !known.isLost;
      Object.assign(known, { counter, received: now, proven, isLost: false, announcement });
      if (!isRepeated || now - known.passed >= REPEAT_MS) this.#pass(known, now);
      return 'accepted';
    }
    // A run that is refused gives no right to the name.
    if (!members.announce(announcement, now)) return 'accepted';
    const ended = known ? [...known.ended, { run: known.run, until: now + MEMORY_MS }] : [];
    const sender = { run, counter, received: now, proven, isLost: false, announcement, passed: now, ended };
    this.#senders.set(node, sender);
    return 'accepted';
  }

  #pass(sender: Sender, now: number): void {
    sender.passed = now;
    if (!sender.isLost && sender.counter > 0) this.#options.members.announce(sender.announcement, now);
  }

  #mayVerify(now: number): boolean {
    const { maxSenders, period } = this.#settings;
    if (now - this.#budget.from >= BUDGET_PERIOD_MS)
      this.#budget = { from: now, left: BUDGET + Math.ceil((maxSenders * BUDGET_PERIOD_MS) / period) };
    if (this.#budget.left > 0) {
      this.#budget.left--;
      return true;
    }
    this.#overloaded = now;
    return false;
  }

  /** Returns the latest of the periods whose question the heartbeat answers. */
  #provenBy({ node, run, answers }: Heartbeat, epoch: number): number {
    for (let each = epoch; each > epoch - EPOCHS && answers.length > 0; each--)
      if (answers.includes(this.#question(node, run, each))) return each;
    return Number.NEGATIVE_INFINITY;
  }

  /** Returns the question to a run in a period, which it returns as its answer. */
  #question(node: string, run: string, epoch: number): string {
    const { secret } = this.#options;
    return tagOf(secret, Buffer.from(`${node} ${run} ${epoch}`)).toString('hex', 0, ANSWER_BYTES);
  }

  #ask({ node, run }: Heartbeat, epoch: number, to: Peer): void {
    const [key] = this.#settings.keys;
    if (key === undefined) return;
    this.#options.reply(encodeChallenge({ run, question: this.#question(node, run, epoch) }, key), to);
  }
}

const isEqual = (a: Announcement, b: Announcement): boolean =>
  a.state === b.state && JSON.stringify(a.places) === JSON.stringify(b.places);

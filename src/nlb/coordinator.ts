/** The coordinator's part: makes views of the hosts that it exchanges heartbeats with, and leads members through the phases. */
import {
  type Epoch,
  type Heartbeat,
  type Member,
  type Phase,
  PREPARED,
  RELEASED,
  SERVING,
  sameEpoch,
  type View,
} from './heartbeat.ts';
import { lossTime, type Timing } from './peers.ts';

/** Periods for which the members of a view must be the same before the view is made, unless a host was lost. */
export const STABLE_PERIODS = 2;

/** What the coordinator knows at a moment. */
export interface Situation {
  readonly self: Member;
  readonly inForce: View | undefined;
  /** Greatest counter that this host accepted. */
  readonly counter: number;
  /** Last heartbeats of the hosts that this one exchanges heartbeats with. */
  readonly mutual: readonly Heartbeat[];
  /** Ids of all hosts that this one receives. */
  readonly received: readonly number[];
  /** When this host began to receive heartbeats, ms. */
  readonly startedAt: number;
  /** Whether a heartbeat was sent since the view in force was released. */
  readonly isAnnounced: boolean;
}

export interface Led {
  readonly view: View;
  readonly phase: Phase;
}

export class Coordinator {
  readonly #timing: Timing;
  #led: Led | undefined;
  #candidates: { readonly key: string; readonly since: number } | undefined;

  constructor(timing: Timing) {
    this.#timing = timing;
  }

  /** The view that this host leads. */
  get led(): Led | undefined {
    return this.#led;
  }

  /** Stops leading. */
  resign(): void {
    this.#led = undefined;
  }

  /** Makes a view if members or weights have changed; otherwise permits the next phase when all have entered the last. */
  step(situation: Situation, now: number): void {
    const { self, mutual, counter } = situation;
    const members = [self, ...mutual.map(({ id, boot, weights }) => ({ id, boot, weights }))];
    members.sort((a, b) => a.id - b.id);
    const led = this.#led;
    if (led && sameMembers(led.view.members, members) && !isOvertaken(led.view.epoch, mutual)) {
      this.#candidates = undefined;
      this.#led = { view: led.view, phase: nextPhase(led, situation) };
    } else if (this.#mayPropose(members, situation, now)) {
      const greatest = Math.max(counter, ...mutual.map((beat) => beat.counter));
      const epoch: Epoch = { counter: greatest + 1, coordinator: self.id, boot: self.boot };
      const inForce = [situation.inForce?.epoch, ...mutual.map((beat) => beat.inForce)].filter((one) => one);
      const view = { epoch, members, isMerge: inForce.some((one) => !sameEpoch(one, inForce[0])) };
      const current = this.#led?.view ?? situation.inForce;
      // If hosts were only lost, the others give up no places, so there is nothing to prepare.
      this.#led = { view, phase: current && isRest(members, current.members) ? RELEASED : PREPARED };
      this.#candidates = undefined;
    }
  }

  /** Reports whether to make a view of these members now, rather than wait for others. */
  #mayPropose(members: readonly Member[], situation: Situation, now: number): boolean {
    const { inForce, mutual, received, startedAt } = situation;
    // A host that is not received any more may serve for some time yet.
    const key = [...members.map(({ id, boot }) => `${id}/${boot}`), ...received].join();
    if (this.#candidates?.key !== key) this.#candidates = { key, since: now };
    const current = this.#led?.view ?? inForce;
    // A host that this one has not received yet may serve until its lease ends.
    if (!current && now - startedAt < lossTime(this.#timing)) return false;
    if (current) {
      const isLost = !current.members.every((each) =>
        members.some(({ id, boot }) => id === each.id && boot === each.boot),
      );
      if (isLost || (this.#led && members.length === current.members.length)) return true;
    }
    const known = [...received, ...mutual.flatMap((beat) => beat.received.map(({ id }) => id))];
    const isComplete =
      (mutual.length > 0 || current !== undefined) &&
      known.every((id) => members.some((member) => member.id === id));
    const wait = isComplete ? STABLE_PERIODS * this.#timing.period : lossTime(this.#timing);
    return now - this.#candidates.since >= wait;
  }
}

/** Reports whether a member has accepted another view of the same or a greater counter. */
const isOvertaken = (epoch: Epoch, mutual: readonly Heartbeat[]): boolean =>
  mutual.some(
    ({ counter, held }) =>
      counter > epoch.counter || (counter === epoch.counter && held && !sameEpoch(held.epoch, epoch)),
  );

function nextPhase({ view, phase }: Led, { self, mutual, isAnnounced }: Situation): Phase {
  const haveEntered = view.members.every(({ id, boot }) => {
    if (id === self.id) return true;
    const held = mutual.find((beat) => beat.id === id && beat.boot === boot)?.held;
    return held && sameEpoch(held.epoch, view.epoch) && held.phase >= phase;
  });
  if (!haveEntered || phase === SERVING) return phase;
  // The others must have been able to receive that this host releases its places.
  return phase === PREPARED ? RELEASED : isAnnounced ? SERVING : RELEASED;
}

/** Reports whether the members are among the earlier ones, with the same weights. */
const isRest = (members: readonly Member[], before: readonly Member[]): boolean =>
  members.every(({ id, boot, weights }) =>
    before.some((each) => each.id === id && each.boot === boot && each.weights.join() === weights.join()),
  );

const sameMembers = (a: readonly Member[], b: readonly Member[]): boolean =>
  a.length === b.length && isRest(a, b);

/**
 * The places whose new connections this host accepts. A place changes its owner without a gap: the old owner accepts it until
 * a time that it announces, and the new one from that time on. The filter applies both times automatically.
 */
import { GROUP_SHIFT, GROUPS } from './places.ts';

/** Values of a place. */
export const NOT_ACCEPTED = 0;
export const ACCEPTED = 1;
/** Accepted until `endsAt`. */
export const ENDING = 2;
/** Accepted from `beginsAt` on. */
export const BEGINNING = 3;

/** Groups of places by the index of the rule, 1 for each that is meant. */
export type GroupsByRule = ReadonlyMap<number, Uint8Array>;

/** ms between two checks whether kept groups have clients. */
const CHECK_PERIOD_MS = 1000;

/** What others say of the places that they give up. */
export interface HandOver {
  /** When all of them have done it, ms. */
  readonly endsAt: number;
  /** Groups that each of them keeps. */
  readonly kept: readonly GroupsByRule[];
  /** Differs if the rest differs. */
  readonly key: string;
  /** Nothing of it will change while the view is in force. */
  readonly isFinal: boolean;
}

export class OwnPlaces {
  /** A value for each place, by rule. */
  readonly rules: readonly Uint8Array[];
  /** Changes whenever `rules`, `endsAt` or `beginsAt` has changed. */
  revision = 0;
  /** ms. */
  endsAt = Number.NEGATIVE_INFINITY;
  beginsAt = Number.NEGATIVE_INFINITY;
  /** Groups of other owners' places that this host keeps, because it had clients there lately. */
  kept: GroupsByRule = new Map();
  readonly #id: number;
  #isSettled = true;
  #checkedKeptAt = Number.NEGATIVE_INFINITY;

  constructor(id: number, rules: readonly Uint8Array[]) {
    this.#id = id;
    this.rules = rules;
  }

  /** Reports whether no place is ENDING or BEGINNING. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  /**
   * Gives up other owners' places `lead` ms from now, but for those of the groups in `keep`; sooner if an earlier announcement
   * still runs. Own places that the host does not accept yet stay as they are.
   */
  release(owners: readonly Uint8Array[], now: number, lead: number, keep: GroupsByRule): void {
    this.settle(now);
    const kept = new Map<number, Uint8Array>();
    const isRunning = this.endsAt > now && lead > 0;
    let isEnding = false;
    for (const [rule, values] of this.rules.entries()) {
      const wanted = keep.get(rule);
      for (let place = 0; place < values.length; place++) {
        const value = values[place]!;
        const group = place >> GROUP_SHIFT;
        if (value === ENDING) {
          if (!isRunning) values[place] = NOT_ACCEPTED;
          isEnding ||= isRunning;
        } else if (value === NOT_ACCEPTED || owners[rule]![place] === this.#id) continue;
        else if (value === BEGINNING) values[place] = NOT_ACCEPTED;
        else if (wanted?.[group] === 1) {
          if (!kept.has(rule)) kept.set(rule, new Uint8Array(GROUPS));
          kept.get(rule)![group] = 1;
        } else {
          values[place] = ENDING;
          isEnding = true;
        }
      }
    }
    this.kept = kept;
    if (!isEnding) this.endsAt = Number.NEGATIVE_INFINITY;
    else if (!isRunning) this.endsAt = now + lead;
    this.#isSettled = false;
    this.revision++;
  }

  /** Accepts all own places when the others have given them up, but for those of groups that they keep. */
  take(owners: readonly Uint8Array[], { endsAt, kept: keptByOthers }: HandOver, now: number): void {
    this.settle(now);
    for (const [rule, values] of this.rules.entries()) {
      const kept = keptByOthers.flatMap((groups) => groups.get(rule) ?? []);
      for (let place = 0; place < values.length; place++) {
        const value = values[place]!;
        if (owners[rule]![place] !== this.#id || value === ACCEPTED || value === BEGINNING) continue;
        if (kept.some((groups) => groups[place >> GROUP_SHIFT] === 1)) continue;
        values[place] = BEGINNING;
        this.#isSettled = false;
      }
    }
    this.beginsAt = endsAt;
    this.revision++;
    this.settle(now);
  }

  /** Gives up kept places of groups that had no clients lately. Returns whether there were any. */
  giveUp(owners: readonly Uint8Array[], recent: (now: number) => GroupsByRule, now: number): boolean {
    if (this.kept.size === 0 || now - this.#checkedKeptAt < CHECK_PERIOD_MS) return false;
    this.#checkedKeptAt = now;
    const wanted = recent(now);
    let isChanged = false;
    for (const [rule, groups] of this.kept)
      for (let group = 0; group < GROUPS; group++) {
        if (groups[group] === 0 || wanted.get(rule)?.[group] === 1) continue;
        groups[group] = 0;
        isChanged = true;
        const values = this.rules[rule]!;
        for (let place = group << GROUP_SHIFT; place < (group + 1) << GROUP_SHIFT; place++)
          if (owners[rule]![place] !== this.#id) values[place] = NOT_ACCEPTED;
      }
    if (!isChanged) return false;
    this.kept = new Map([...this.kept].filter(([, groups]) => groups.includes(1)));
    this.revision++;
    return true;
  }

  /** Replaces ENDING and BEGINNING after their times. */
  settle(now: number): void {
    if (this.#isSettled) return;
    const hasEnded = now >= this.endsAt;
    const hasBegun = now >= this.beginsAt;
    for (const values of this.rules)
      for (let place = 0; place < values.length; place++) {
        if (hasEnded && values[place] === ENDING) values[place] = NOT_ACCEPTED;
        if (hasBegun && values[place] === BEGINNING) values[place] = ACCEPTED;
      }
    this.#isSettled = hasEnded && hasBegun;
    this.revision++;
  }

  /** Accepts nothing from now on. */
  clear(): void {
    for (const values of this.rules) values.fill(NOT_ACCEPTED);
    this.kept = new Map();
    this.#isSettled = true;
    this.revision++;
  }
}

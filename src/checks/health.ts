/** Computes the health and the weight of a destination from the results of its checks. Uses no clock and no sockets. */
import type { Check, HealthState } from '../model/check.ts';
import type { AgentReport, Observation } from './probe.ts';

/** A change of an agent's percentage below this has no effect, percentage points: load fluctuates. */
const HYSTERESIS_POINTS = 5;
const FULL_PERCENT = 100;

/** The health of a destination. */
export class Health {
  readonly #check: Check;
  #state: HealthState = 'up';
  #since: number;
  #message = '';
  /** Number of equal results in a row; negative: failures. */
  #row = 0;
  #drained = false;
  /** Percentage of the weight that the agent's reports have resulted in. */
  #percent = FULL_PERCENT;

  /** Starts as healthy, or with the state of `before`, the health by the previous check. Times are ms. */
  constructor(check: Check, now: number, before?: Health) {
    this.#check = check;
    this.#since = now;
    if (!before) return;
    this.#state = before.#state;
    this.#since = before.#since;
    this.#message = before.#message;
    this.#drained = before.#drained && check.type === 'agent';
    if (check.type === 'agent') this.#percent = before.#percent;
  }

  get state(): HealthState {
    return this.#state;
  }
  /** Returns the time at which the state began, ms. */
  get since(): number {
    return this.#since;
  }
  /** Returns the result of the last check. */
  get message(): string {
    return this.#message;
  }

  /** Records the result of a check. Reports whether the state changed. */
  observe({ healthy, message, agent }: Observation, now: number): boolean {
    this.#message = message;
    this.#row = healthy ? Math.max(0, this.#row) + 1 : Math.min(0, this.#row) - 1;
    if (agent) this.#applyReport(agent);
    const { fall, rise } = this.#check;
    // An explicit state from an agent applies immediately.
    const down = -this.#row >= (agent?.health === 'down' ? 1 : fall);
    const up = this.#row >= (agent?.health === 'up' ? 1 : rise);
    return this.#enter(this.#next(down, up), now);
  }

  /**
   * Goes on with the weight that another process has left, 0 to `configured`: the first checks confirm it or not. `now`: ms.
   */
  resume(weight: number, configured: number, now: number): void {
    if (configured === 0 || weight >= configured) return;
    this.#message = 'as a former director has left it';
    if (weight === 0) this.#enter('down', now);
    else if (this.#check.slowStart > 0) {
      this.#enter('growing', now);
      this.#since = now - (this.#check.slowStart * 1000 * weight) / configured;
    }
  }

  /** Advances the time. Reports whether the state changed. */
  tick(now: number): boolean {
    const grown = this.#state === 'growing' && now - this.#since >= this.#check.slowStart * 1000;
    return grown && this.#enter('up', now);
  }

  /** Returns the weight for a configured weight. A destination that is neither down nor drained has at least 1. */
  weight(configured: number, now: number): number {
    if (configured === 0 || this.#state === 'down' || this.#state === 'drained' || this.#percent === 0)
      return 0;
    const grown =
      this.#state === 'growing' ? Math.min(1, (now - this.#since) / (this.#check.slowStart * 1000)) : 1;
    return Math.max(1, Math.round((configured * this.#percent * grown) / FULL_PERCENT));
  }

  #next(down: boolean, up: boolean): HealthState {
    if (down || (this.#state === 'down' && !up)) return 'down';
    if (this.#drained) return 'drained';
    if (this.#state === 'up' || this.#state === 'growing') return this.#state;
    return this.#check.slowStart > 0 ? 'growing' : 'up';
  }

  #enter(state: HealthState, now: number): boolean {
    if (state === this.#state) return false;
    this.#state = state;
    this.#since = now;
    return true;
  }

  #applyReport({ admin, percent }: AgentReport): void {
    if (admin !== undefined) this.#drained = admin === 'drain';
    if (percent === undefined) return;
    const change = percent - this.#percent;
    const isEnd = percent === 0 || percent === FULL_PERCENT;
    if (Math.abs(change) < HYSTERESIS_POINTS && !isEnd) return;
    const { maxStep } = this.#check;
    this.#percent += Math.max(-maxStep, Math.min(maxStep, change));
  }
}

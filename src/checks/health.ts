/** What the checks of one destination amount to: up or down, and how much of its weight it has. No clock, no sockets. */
import type { Check, HealthState } from '../model/check.ts';
import type { AgentWords, Observation } from './probe.ts';

/** An agent's percentage that differs by less than this, in points, changes nothing: load is never quite still. */
const HYSTERESIS = 5;
const ALL = 100;

export class Health {
  readonly #check: Check;
  #state: HealthState = 'up';
  #since: number;
  #message = '';
  /** Results in a row: successes above 0, failures below. */
  #row = 0;
  #drained = false;
  /** Percent of the weight that the agent's words have led to so far. */
  #percent = ALL;

  /** Taken for healthy until checks have shown otherwise, or for what another check `before` it knew. Times are ms. */
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
  /** When the state began. */
  get since(): number {
    return this.#since;
  }
  get message(): string {
    return this.#message;
  }

  /** Takes note of a check; true: the state is another one now. */
  observe({ healthy, message, agent }: Observation, now: number): boolean {
    this.#message = message;
    this.#row = healthy ? Math.max(0, this.#row) + 1 : Math.min(0, this.#row) - 1;
    if (agent) this.#listen(agent);
    const { fall, rise } = this.#check;
    // What an agent says outright counts at once.
    const down = -this.#row >= (agent?.health === 'down' ? 1 : fall);
    const up = this.#row >= (agent?.health === 'up' ? 1 : rise);
    return this.#enter(this.#next(down, up), now);
  }

  /** Lets time pass; true: the state is another one now. */
  tick(now: number): boolean {
    const grown = this.#state === 'growing' && now - this.#since >= this.#check.slowStart * 1000;
    return grown && this.#enter('up', now);
  }

  /** What is left of a configured weight. A destination that is not down keeps at least 1 of it. */
  weight(configured: number, now: number): number {
    if (configured === 0 || this.#state === 'down' || this.#state === 'drained' || this.#percent === 0)
      return 0;
    const grown =
      this.#state === 'growing' ? Math.min(1, (now - this.#since) / (this.#check.slowStart * 1000)) : 1;
    return Math.max(1, Math.round((configured * this.#percent * grown) / ALL));
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

  #listen({ admin, percent }: AgentWords): void {
    if (admin !== undefined) this.#drained = admin === 'drain';
    if (percent === undefined) return;
    const change = percent - this.#percent;
    const isEnd = percent === 0 || percent === ALL;
    if (Math.abs(change) < HYSTERESIS && !isEnd) return;
    const { maxStep } = this.#check;
    this.#percent += Math.max(-maxStep, Math.min(maxStep, change));
  }
}

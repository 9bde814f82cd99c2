/** Computes the health and the weight of a destination from the results of its checks. Uses no clock and no sockets. */
import type { Check, HealthState } from '../model/check.ts';
import type { AgentReport, Observation } from './probe.ts';

/** A change of an agent's percentage below this has no effect, percentage points: load fluctuates. */
const HYSTERESIS_POINTS = 5;
const FULL_PERCENT = 100;

/** The results of one check. */
interface Results {
  readonly check: Check;
  message: string;
  /** Number of equal results in a row; negative: failures. */
  row: number;
  isDown: boolean;
  isDrained: boolean;
  /** Percentage of the weight that the agent's reports have resulted in. */
  percent: number;
  /** The weight that a command has reported. */
  weight?: number | undefined;
}

/** The health of a destination. */
export class Health {
  readonly #results: readonly [Results, ...Results[]];
  /** Seconds in which the weight grows. */
  readonly #slowStart: number;
  #state: HealthState = 'up';
  #since: number;

  /** Starts as healthy, or with the state of `before`, the health by the previous checks. Times are ms. */
  constructor(checks: readonly Check[], now: number, before?: Health) {
    const [first, ...others] = checks.map((check) => resultsOf(check, before ? before.#results : []));
    if (!first) throw new RangeError('a destination without a check has no health');
    this.#results = [first, ...others];
    this.#slowStart = Math.max(...checks.map((check) => check.slowStart));
    this.#since = before ? before.#since : now;
    if (!before) return;
    this.#state = before.#state;
    // The check that has failed is no longer made: the others show whether the destination is up.
    if (this.#state === 'down' && this.#results.every(({ isDown }) => !isDown)) this.#setDown();
  }

  get state(): HealthState {
    return this.#state;
  }
  /** Returns the time at which the state began, ms. */
  get since(): number {
    return this.#since;
  }
  /** Returns the result of the check that `type` names. */
  get message(): string {
    return this.#shown.message;
  }
  /** Returns the type of the first check that fails, or of the first one. */
  get type(): Check['type'] {
    return this.#shown.check.type;
  }

  /** Reports whether a check, by its position, has failed so often that the destination is down. */
  isDown(position: number): boolean {
    return this.#results[position]!.isDown;
  }

  /** Records the result of the check at a position. Reports whether the state changed. */
  observe({ healthy, message, agent }: Observation, now: number, position = 0): boolean {
    const results = this.#results[position]!;
    results.message = message;
    results.row = healthy ? Math.max(0, results.row) + 1 : Math.min(0, results.row) - 1;
    if (agent) applyReport(results, agent);
    const { fall, rise } = results.check;
    // An explicit state from an agent applies immediately.
    const down = -results.row >= (agent?.health === 'down' ? 1 : fall);
    const up = results.row >= (agent?.health === 'up' ? 1 : rise);
    results.isDown = down || (results.isDown && !up);
    return this.#enter(this.#next(), now);
  }

  /**
   * Goes on with the weight that another process has left, 0 to `configured`: the first checks confirm it or not. `now`: ms.
   */
  resume(weight: number, configured: number, now: number): void {
    if (configured === 0 || weight >= configured) return;
    for (const each of this.#results) each.message = 'as a former director has left it';
    if (weight === 0) {
      this.#setDown();
      this.#enter('down', now);
    } else if (this.#slowStart > 0) {
      this.#enter('growing', now);
      this.#since = now - (this.#slowStart * 1000 * weight) / configured;
    }
  }

  /** Begins as down, until the first checks have passed: each of them once. */
  await(message: string): void {
    for (const each of this.#results) Object.assign(each, { message, row: each.check.rise - 1 });
    this.#setDown();
    this.#state = 'down';
  }

  /** Advances the time. Reports whether the state changed. */
  tick(now: number): boolean {
    const grown = this.#state === 'growing' && now - this.#since >= this.#slowStart * 1000;
    return grown && this.#enter('up', now);
  }

  /** Returns the weight for a configured weight. A destination that is neither down nor drained has at least 1. */
  weight(configured: number, now: number): number {
    const percent = Math.min(...this.#results.map((each) => each.percent));
    const full = this.fullWeight(configured);
    if (full === 0 || this.#state === 'down' || this.#state === 'drained' || percent === 0) return 0;
    const grown = this.#state === 'growing' ? Math.min(1, (now - this.#since) / (this.#slowStart * 1000)) : 1;
    return Math.max(1, Math.round((full * percent * grown) / FULL_PERCENT));
  }

  /** Returns the configured weight, as commands that report weights have changed it. */
  fullWeight(configured: number): number {
    if (configured === 0) return 0;
    const changes = this.#results.map(({ weight }) => (weight === undefined ? 0 : weight - configured));
    return Math.max(
      0,
      changes.reduce((sum, change) => sum + change, configured),
    );
  }

  get #shown(): Results {
    return (
      this.#results.find(({ isDown }) => isDown) ??
      this.#results.find(({ row }) => row < 0) ??
      this.#results[0]
    );
  }

  #setDown(): void {
    for (const each of this.#results) each.isDown = true;
  }

  #next(): HealthState {
    if (this.#results.some(({ isDown }) => isDown)) return 'down';
    if (this.#results.some(({ isDrained }) => isDrained)) return 'drained';
    if (this.#state === 'up' || this.#state === 'growing') return this.#state;
    return this.#slowStart > 0 ? 'growing' : 'up';
  }

  #enter(state: HealthState, now: number): boolean {
    if (state === this.#state) return false;
    this.#state = state;
    this.#since = now;
    return true;
  }
}

/** Returns what is known of a check by the results of the checks before: by earlier ones, or by those of a similar check. */
function resultsOf(check: Check, before: readonly Results[]): Results {
  const text = JSON.stringify(check);
  const same = before.find((each) => JSON.stringify(each.check) === text);
  if (same) return { ...same };
  const fresh = { check, message: '', row: 0, isDown: false, isDrained: false, percent: FULL_PERCENT };
  const similar = before.find((each) => each.check.type === check.type);
  if (!similar) return { ...fresh, message: before[0]?.message ?? '' };
  const { message, isDrained, percent, weight } = similar;
  return { ...fresh, message, isDrained, percent, ...(check.dynamic && { weight }) };
}

function applyReport(results: Results, { admin, percent, weight }: AgentReport): void {
  if (admin !== undefined) results.isDrained = admin === 'drain';
  if (weight !== undefined) results.weight = weight === 'configured' ? undefined : weight;
  if (percent === undefined) return;
  const change = percent - results.percent;
  const isEnd = percent === 0 || percent === FULL_PERCENT;
  if (Math.abs(change) < HYSTERESIS_POINTS && !isEnd) return;
  const { maxStep } = results.check;
  results.percent += Math.max(-maxStep, Math.min(maxStep, change));
}

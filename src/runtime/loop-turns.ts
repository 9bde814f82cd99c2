/** Measures the turns of the event loop: packets wait for as long as the longest of them. */

/** ms of a period, and the number of periods that the longest turn is taken from: a minute. */
const PERIOD_MS = 10_000;
const PERIODS = 6;

/** Returns the ms that the event loop has worked since the start: time in which it waited for events does not count. */
const workingTime = (): number => performance.eventLoopUtilization().active;

export class LoopTurns implements Disposable {
  readonly #work: () => number;
  readonly #clock: () => number;
  /** The longest turn of each period of the last minute, ms; the current one is the last. */
  #longest: number[] = [0];
  #periodEnd: number;
  #workBefore: number;
  #immediate: NodeJS.Immediate;

  /** `work`: ms that the thread has worked. `clock`: ms, monotonic. */
  constructor(work: () => number = workingTime, clock: () => number = () => performance.now()) {
    this.#work = work;
    this.#clock = clock;
    this.#workBefore = work();
    this.#periodEnd = clock() + PERIOD_MS;
    this.#immediate = this.#nextTurn();
  }

  /** The longest turn within the last minute, seconds. */
  get longest(): number {
    this.#advance();
    return Math.max(...this.#longest) / 1000;
  }

  /** Forgets the turns so far. */
  reset(): void {
    this.#longest = [0];
  }

  [Symbol.dispose](): void {
    clearImmediate(this.#immediate);
  }

  /** An immediate without a reference runs once in each turn, and does not keep the loop from waiting for events. */
  #nextTurn(): NodeJS.Immediate {
    return setImmediate(() => {
      const work = this.#work();
      this.#advance();
      const last = this.#longest.length - 1;
      this.#longest[last] = Math.max(this.#longest[last]!, work - this.#workBefore);
      this.#workBefore = work;
      this.#immediate = this.#nextTurn();
    }).unref();
  }

  #advance(): void {
    const now = this.#clock();
    for (; now >= this.#periodEnd; this.#periodEnd += PERIOD_MS) {
      this.#longest.push(0);
      if (this.#longest.length > PERIODS) this.#longest.shift();
    }
  }
}

/** A random source whose next numbers can be looked at before they are drawn. */

export class Draws {
  readonly #random: () => number;
  readonly #ahead: number[] = [];

  constructor(random: () => number) {
    this.#random = random;
  }

  readonly next = (): number => this.#ahead.shift() ?? this.#random();

  /** Returns a source that gives what `next` will give from now on, and draws nothing. */
  ahead(): () => number {
    let place = 0;
    return () => {
      if (place === this.#ahead.length) this.#ahead.push(this.#random());
      return this.#ahead[place++]!;
    };
  }
}

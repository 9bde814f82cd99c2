/** A random source whose next numbers can be read in advance. */

export class Draws {
  readonly #random: () => number;
  readonly #ahead: number[] = [];

  constructor(random: () => number) {
    this.#random = random;
  }

  readonly next = (): number => this.#ahead.shift() ?? this.#random();

  /** Returns a source of the numbers that `next` will return, without consuming them. */
  ahead(): () => number {
    let place = 0;
    return () => {
      if (place === this.#ahead.length) this.#ahead.push(this.#random());
      return this.#ahead[place++]!;
    };
  }
}

/** Counts changes that operators make by commands, so that a reload without any has nothing to do. */

export class ManualChanges {
  #made = 0;
  /** How many there were at the last plan, and at the plan that was carried out last; -1: not as a whole. */
  #planned = 0;
  #applied = 0;

  count(): void {
    this.#made++;
  }

  /** A plan begins with the state of now. */
  plan(): void {
    this.#planned = this.#made;
  }

  /** The plan was carried out; `isWhole`: without failures. */
  carriedOut(isWhole: boolean): void {
    this.#applied = isWhole ? this.#planned : -1;
  }

  /** Reports whether the rules are those of the plan that was carried out last. */
  get isNone(): boolean {
    return this.#made === this.#applied;
  }
}

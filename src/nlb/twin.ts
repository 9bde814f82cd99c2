/** Finds another host with the same id. */
import type { Heartbeat, Member } from './heartbeat.ts';

export class Twin {
  readonly #lossTime: number;
  #last: { readonly beat: Heartbeat; readonly at: number } | undefined;
  #wins = false;

  /** `lossTime`: ms of silence after which the other host is gone. */
  constructor(lossTime: number) {
    this.#lossTime = lossTime;
  }

  /** The other host's last heartbeat. */
  get beat(): Heartbeat | undefined {
    return this.#last?.beat;
  }

  /** Takes a heartbeat with the own id and another boot. */
  receive(beat: Heartbeat, now: number): void {
    this.#last = { beat, at: now };
  }

  /**
   * Reports whether the other host keeps the id: the one that has a view, or else the lower boot. A recorded heartbeat of
   * an earlier run does not confirm this run, and is no other host. `isServing`: this host has a view.
   */
  wins(self: Member, isServing: boolean, now: number): boolean {
    if (this.#last && now - this.#last.at > this.#lossTime) this.#last = undefined;
    const beat = this.#last?.beat;
    const isFresh = beat?.received.some(({ id, boot }) => id === self.id && boot === self.boot) ?? false;
    this.#wins &&= isFresh && beat?.state !== 'duplicate';
    if (!beat || !isFresh || beat.state === 'duplicate' || this.#wins) return this.#wins;
    const doesServe = beat.inForce !== undefined;
    this.#wins = isServing === doesServe ? beat.boot < self.boot : doesServe;
    return this.#wins;
  }
}

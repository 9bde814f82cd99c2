/** Divides long work of the control plane into slices, so that packets are forwarded between them. */
import { setImmediate as nextTurn } from 'node:timers/promises';

/** ms of work after which packets have their turn: about as long as the director takes for a batch of them. */
const SLICE_MS = 2;

/**
 * The slice of work that runs now. A loop over many items asks `spent` for each, and waits for `next` when it is:
 * `if (slice.spent) await slice.next()`. Loops that share a slice share its time.
 */
export class Slice {
  #began = performance.now();

  /** Reports whether the slice has lasted long enough. */
  get spent(): boolean {
    return performance.now() - this.#began >= SLICE_MS;
  }

  /** Resolves in a later turn of the event loop, with which a new slice begins. */
  async next(): Promise<void> {
    await nextTurn();
    this.#began = performance.now();
  }
}

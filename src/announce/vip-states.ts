/** Decides which VIPs are announced: one that is not ready is withdrawn at once, and announced again when it stays ready. */
import type { WantedVips } from './bird-file.ts';

/** Whether a VIP can be served; `unchanged`: its services are being removed, and it stays as it is. */
export type VipReadiness = boolean | 'unchanged';

interface VipState {
  isAnnounced: boolean;
  /** When it became ready, ms; undefined: it is not. */
  readySince: number | undefined;
}

export class VipStates {
  #states = new Map<string, VipState>();

  /** `announced`: VIPs that a former director has left announced. */
  constructor(announced: Iterable<string> = []) {
    for (const vip of announced) this.#states.set(vip, { isAnnounced: true, readySince: undefined });
  }

  /**
   * Sets which VIPs exist and can be served, and returns which are announced. `rise`: ms for which a VIP must be ready before
   * it is announced; `now`: ms. Works in one pass over the VIPs.
   */
  update(ready: ReadonlyMap<string, VipReadiness>, rise: number, now: number): WantedVips {
    const states = new Map<string, VipState>();
    const wanted = new Map<string, boolean>();
    for (const [vip, readiness] of ready) {
      const state = this.#states.get(vip) ?? { isAnnounced: false, readySince: undefined };
      if (readiness === false) {
        state.isAnnounced = false;
        state.readySince = undefined;
      } else if (readiness === true) {
        state.readySince ??= now;
        if (now - state.readySince >= rise) state.isAnnounced = true;
      }
      states.set(vip, state);
      wanted.set(vip, state.isAnnounced);
    }
    this.#states = states;
    return wanted;
  }
}

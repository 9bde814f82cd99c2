/**
 * Whether the view that a host served is still in force after its lease has ended, because the host was paused or was not
 * received: then it goes on, and otherwise it joins again. In doubt it accepts no new connections.
 *
 * The view is in force if every host of the configuration confirms it in a heartbeat that answers one that this host sent in
 * doubt. None of them has lost this host then, nor is another view under way, and no other host exists that could serve.
 */
import { type Heartbeat, isMember, sameEpoch, type View } from './heartbeat.ts';
import type { Peer } from './peers.ts';

export class Doubt {
  readonly #hosts: readonly number[];
  #since: number | undefined;

  /** `hosts`: ids of all hosts of the configuration. */
  constructor(hosts: readonly number[]) {
    this.#hosts = hosts;
  }

  /** When the doubt began; undefined: there is none. */
  get since(): number | undefined {
    return this.#since;
  }

  /** Begins, if the others can tell: all hosts of the configuration are members. Returns whether there is a doubt. */
  begin(view: View, now: number): boolean {
    if (this.#since === undefined && this.#hosts.every((id) => view.members.some((each) => each.id === id)))
      this.#since = now;
    return this.#since !== undefined;
  }

  end(): void {
    this.#since = undefined;
  }

  /** Returns what the others say of the view. */
  resolve(view: View, own: Pick<Heartbeat, 'id'>, peers: readonly Peer[]): 'open' | 'in force' | 'over' {
    const since = this.#since ?? Number.NEGATIVE_INFINITY;
    const answers = peers.filter((peer) => peer.isConfirmed && peer.confirmedAt >= since);
    const agrees = ({ beat }: Peer) =>
      isMember(view, beat) && sameEpoch(beat.inForce, view.epoch) && sameEpoch(beat.held?.epoch, view.epoch);
    if (!answers.every(agrees)) return 'over';
    const isComplete = view.members.every(
      ({ id }) => id === own.id || answers.some(({ beat }) => beat.id === id),
    );
    return isComplete ? 'in force' : 'open';
  }
}

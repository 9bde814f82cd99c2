/** The VRRP instances of this host, as keepalived reports them, and the role of the sync daemon that follows from them. */
import type { SyncDaemon } from '../model/command.ts';
import { LvsError } from '../model/errors.ts';
import type { VrrpInstance } from '../model/vrrp.ts';

/**
 * How long the daemon of the role before runs, too, ms. A new master takes the messages that the one before sends then: about
 * connections whose packets it still had in its queues.
 */
const OVERLAP_MS = 3000;

export class VrrpStates {
  readonly #known = new Map<string, { readonly instance: VrrpInstance; readonly at: number }>();
  /** Until when both daemons run, ms, and the role of the one that remains; undefined: nothing changes. */
  #overlap: { readonly end: number; readonly role: SyncDaemon['role'] } | undefined;

  /** In the order of the first reports. */
  get all(): readonly VrrpInstance[] {
    return [...this.#known.values()].map(({ instance }) => instance);
  }

  /** Takes a report. `at`: orders the reports of an instance. Throws LvsError if a later one was taken. */
  set(instance: VrrpInstance, at: number): void {
    const key = `${instance.type} ${instance.name}`;
    const before = this.#known.get(key);
    if (before !== undefined && before.at > at)
      throw new LvsError('INVALID', `${key}: ${instance.state}: a later report has arrived before this one`);
    if (instance.state === 'DELETED') this.#known.delete(key);
    else this.#known.set(key, { instance, at });
  }

  /**
   * Returns the sync daemons after a report: the one that runs gets the role of this host. A host on which both were started
   * keeps both.
   */
  switched(daemons: readonly SyncDaemon[], now: number): readonly SyncDaemon[] {
    const [first, second] = daemons;
    if (first === undefined || (second !== undefined && this.#overlap === undefined)) return daemons;
    const role = this.all.some(({ state }) => state === 'MASTER') ? 'master' : 'backup';
    if (second === undefined && first.role === role) return daemons;
    if (this.#overlap?.role !== role) this.#overlap = { end: now + OVERLAP_MS, role };
    return second === undefined ? [first, { ...first, role }] : daemons;
  }

  /** Returns the daemons without the one of the role before, when its time has ended. */
  advanced(daemons: readonly SyncDaemon[], now: number): readonly SyncDaemon[] {
    if (this.#overlap === undefined || now < this.#overlap.end) return daemons;
    const { role } = this.#overlap;
    this.#overlap = undefined;
    return daemons.filter((daemon) => daemon.role === role);
  }
}

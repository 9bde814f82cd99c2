/** The sync daemons that run, by commands and by the reports of keepalived. */
import type { SyncDaemon } from '../model/command.ts';
import { LvsError } from '../model/errors.ts';
import type { VrrpInstance } from '../model/vrrp.ts';
import { hasMixedFamilies } from './administration.ts';
import type { DirectorCore } from './core.ts';
import { VrrpStates } from './vrrp-states.ts';

export class SyncDaemons {
  readonly #core: DirectorCore;
  readonly #vrrp = new VrrpStates();
  #all: readonly SyncDaemon[] = [];

  constructor(core: DirectorCore) {
    this.#core = core;
  }

  get all(): readonly SyncDaemon[] {
    return this.#all;
  }

  /** The VRRP instances of this host, in the order of their first reports. */
  get vrrp(): readonly VrrpInstance[] {
    return this.#vrrp.all;
  }

  /** Throws LvsError if a daemon of this role runs, or its messages cannot carry a destination. */
  start(daemon: SyncDaemon, now: number): void {
    if (this.#all.some(({ role }) => role === daemon.role))
      throw new LvsError('DAEMON_RUNNING', `the ${daemon.role} sync daemon already runs`);
    if (hasMixedFamilies(this.#core))
      throw new LvsError('INVALID', 'sync messages cannot carry destinations of a different address family');
    this.#set([...this.#all, daemon], now);
  }

  /** Throws LvsError if no daemon of this role runs. */
  stop(role: SyncDaemon['role'], now: number): void {
    if (!this.#all.some((daemon) => daemon.role === role))
      throw new LvsError('NO_DAEMON', `${role} sync daemon not found`);
    this.#set(
      this.#all.filter((daemon) => daemon.role !== role),
      now,
    );
  }

  /** Takes a report of keepalived. `at`: orders the reports of an instance. Throws LvsError if a later one was taken. */
  report(instance: VrrpInstance, at: number, now: number): void {
    this.#vrrp.set(instance, at);
    this.#set(this.#vrrp.switched(this.#all, now), now);
  }

  /** Stops the daemon of the role before, when its time has ended. */
  advance(now: number): void {
    this.#set(this.#vrrp.advanced(this.#all, now), now);
  }

  #set(daemons: readonly SyncDaemon[], now: number): void {
    if (daemons === this.#all) return;
    this.#all = daemons;
    this.#core.isSynced = daemons.length > 0;
    this.#core.isBackup = daemons.some(({ role }) => role === 'backup');
    this.#core.sync.setDaemons(daemons, now);
  }
}

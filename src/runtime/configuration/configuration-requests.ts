/** Reloads the configuration file of a running director on a signal or a request. */
import { resolve } from 'node:path';
import type { ConfigurationApi, Reloaded } from '../../control/director-api.ts';
import type { ServiceManager } from '../../host/service-manager.ts';
import { LvsError } from '../../model/errors.ts';
import { interfaceMtu } from '../local-director.ts';
import type { Log } from '../log.ts';
import { summaryOf } from '../sync/sync-summary.ts';
import { openConfiguration, type ReadConfiguration } from './configuration-thread.ts';
import { unpacked } from './packed.ts';
import { type BoundedPlan, boundedPlan } from './plan-text.ts';
import type { RunningConfiguration } from './running-configuration.ts';

/** What a file would change. */
export interface Tried {
  readonly changes: number;
  /** Number of destinations and services that would be removed when their connections have ended. */
  readonly draining: number;
  readonly manualChanges: readonly string[];
  readonly warnings: readonly string[];
  /** Missing: nothing would change. */
  readonly plan?: BoundedPlan;
}

/** Reloads a file, one reload at a time. An invalid file changes nothing; its errors are logged and returned. */
export class ConfigurationRequests implements ConfigurationApi {
  #path: string;
  readonly #running: RunningConfiguration;
  readonly #datapath: string;
  readonly #manager: Pick<ServiceManager, 'reloading' | 'ready'>;
  readonly #log: Log;
  /** Called when a file was applied. */
  applied: () => void = () => {};
  #reloading: Promise<unknown> = Promise.resolve();
  #next: Promise<Reloaded> | undefined;

  constructor(
    path: string,
    running: RunningConfiguration,
    datapath: string,
    manager: Pick<ServiceManager, 'reloading' | 'ready'>,
    log: Log,
  ) {
    this.#manager = manager;
    this.#path = path;
    this.#datapath = datapath;
    this.#running = running;
    this.#log = log;
  }

  /** Requests that arrive during a reload share the next one, which reads the file after the last of them. */
  reload(): Promise<Reloaded> {
    this.#next ??= this.#reloading
      .catch(() => {})
      .then(() => {
        this.#next = undefined;
        const reloading = this.#reload(this.#path);
        this.#reloading = reloading;
        return reloading;
      });
    return this.#next;
  }

  /** Applies another file, which reloads read from then on. If it is invalid, changes nothing and throws LvsError CONFIG. */
  applyFile(path: string): Promise<Reloaded> {
    return this.#afterReloads(async () => {
      const reloaded = await this.#reload(path);
      this.#path = path;
      return reloaded;
    });
  }

  /** Checks a file, and resolves with what it would change. Throws LvsError CONFIG if it could not be applied. */
  tryFile(path: string): Promise<Tried> {
    return this.#afterReloads(async () => {
      using wanted = await openConfiguration(path);
      checkDevices(wanted);
      const { warnings } = wanted;
      if (this.#running.isCurrent(wanted)) return { changes: 0, draining: 0, manualChanges: [], warnings };
      const { commands, drains, manualChanges } = await this.#running.plan(wanted);
      const plan = boundedPlan(
        wanted,
        { commands, drains },
        this.#running.current,
        await this.#running.snapshot(),
      );
      return { changes: commands.length, draining: drains.length, manualChanges, warnings, plan };
    });
  }

  /** Does the work when no reload is running. */
  #afterReloads<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#reloading.catch(() => {}).then(work);
    this.#reloading = done;
    return done;
  }

  /** Resolves with the configuration that was applied last. */
  async configured() {
    const { commands, vips = [], checks = {}, lists = {}, sync } = this.#running.current ?? {};
    return {
      file: resolve(this.#path),
      commands: commands ? unpacked(commands) : [],
      datapath: this.#datapath,
      vips: vips.map(({ address, device }) => `${address} ${device}`),
      checks,
      lists,
      ...(sync && { sync: summaryOf(sync) }),
      draining: this.#running.drains.all,
    };
  }

  async #reload(path: string): Promise<Reloaded> {
    let outcome = 'reload failed, unchanged';
    this.#manager.reloading();
    try {
      using wanted = await openConfiguration(path);
      checkDevices(wanted);
      const reloaded = await this.#apply(wanted);
      this.#running.rejected(undefined);
      outcome = `reloaded: ${wanted.services} services`;
      return reloaded;
    } catch (error) {
      if (error instanceof LvsError) {
        this.#log('error', 'config-rejected', { error: error.message });
        this.#running.rejected(error.message.split('\n', 1)[0]);
      }
      throw error;
    } finally {
      this.#manager.ready(`forwarding: ${outcome}, datapath ${this.#datapath}`);
    }
  }

  async #apply(wanted: Awaited<ReturnType<typeof openConfiguration>>): Promise<Reloaded> {
    const running = this.#running;
    const log = this.#log;
    const { warnings } = wanted;
    for (const warning of warnings) log('warning', 'config-warning', { warning });
    if (running.isCurrent(wanted)) {
      const draining = running.drains.size;
      log('info', 'reloaded', { commands: 0, draining });
      return { commands: 0, draining, manualChanges: [], warnings };
    }
    const plan = await running.change(wanted);
    this.applied();
    const result = { commands: plan.commands.length, draining: plan.drains.length };
    log('info', 'reloaded', result);
    return { ...result, manualChanges: plan.manualChanges, warnings };
  }
}

/**
 * Throws LvsError if a VIP cannot be added, a sync daemon cannot start, or heartbeats cannot be received. Checked before any change, because half of the
 * file would be applied.
 */
function checkDevices({ vips, sync, join }: ReadConfiguration): void {
  const missing = vips.find(({ device }) => interfaceMtu(device) === undefined);
  if (missing)
    throw new LvsError('CONFIG', `VIP ${missing.address}: network interface ${missing.device} not found`);
  if (sync && interfaceMtu(sync.interface) === undefined)
    throw new LvsError('CONFIG', `sync: network interface ${sync.interface} not found`);
  if (join?.device !== undefined && interfaceMtu(join.device) === undefined)
    throw new LvsError('CONFIG', `join: network interface ${join.device} not found`);
}

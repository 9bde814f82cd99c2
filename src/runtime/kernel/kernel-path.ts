/** Opens the kernel path that the options select, or logs why none is used. */

import { LvsError } from '../../model/errors.ts';
import type { HookName } from '../../offload/hooks.ts';
import type { Log } from '../log.ts';
import { type Choice, choose, type DatapathName, probe } from './datapath.ts';
import type { Offloading, OffloadingOptions } from './offloading.ts';
import { openOffloading } from './open-offloading.ts';

export interface KernelPathOptions extends Omit<OffloadingOptions, 'hook'> {
  readonly wanted: DatapathName;
  readonly interfaces: readonly string[];
  readonly log: Log;
  /** Ends the director that this one replaces. */
  readonly replace: () => Promise<void>;
}

export interface KernelPath {
  readonly datapath: Choice['datapath'];
  /** Undefined: this process forwards all packets. */
  readonly offloading: Offloading | undefined;
}

/** Logs the choice and its reason. Throws LvsError if the options name a kernel path that is not available. */
export async function openKernelPath(options: KernelPathOptions): Promise<KernelPath> {
  const { wanted, log } = options;
  const { datapath, reason } = choose(wanted, wanted === 'live' ? NOTHING : await probe());
  if (datapath === 'live') {
    // A warning: the operator may expect a faster datapath.
    log(wanted === 'live' ? 'info' : 'warning', 'datapath-chosen', { datapath, reason });
    return { datapath, offloading: undefined };
  }
  try {
    // The programs of the one before go on.
    await options.replace();
    const offloading = await openAt(datapath, options);
    log('info', 'datapath-chosen', {
      datapath,
      reason,
      connections: offloading.shared.table.capacity,
      bytes: offloading.shared.memory.bytes,
    });
    return { datapath, offloading };
  } catch (error) {
    if (wanted !== 'auto' || !(error instanceof LvsError) || error.code !== 'UNAVAILABLE') throw error;
    log('warning', 'datapath-chosen', { datapath: 'live', reason: `not ${datapath}: ${error.message}` });
    return { datapath: 'live', offloading: undefined };
  }
}

const NOTHING = { tc: [], xdp: [], other: [], restarts: [] };

async function openAt(hook: HookName, options: KernelPathOptions): Promise<Offloading> {
  const offloading = await openOffloading({ ...options, hook });
  try {
    for (const name of options.interfaces) await offloading.io.listen(name);
    return offloading;
  } catch (error) {
    // The path of a former director goes on.
    if (offloading.kept.adopted) offloading.leave();
    else {
      offloading.close();
      offloading.kept.close();
    }
    offloading.io[Symbol.dispose]();
    throw error;
  }
}

/** Opens the kernel path that was asked for, or says why there is none. */

import { LvsError } from '../model/errors.ts';
import type { HookName } from '../offload/hooks.ts';
import type { Configured } from './configuration.ts';
import { type Choice, choose, type DatapathName, probe } from './datapath.ts';
import type { Log } from './log.ts';
import { type Offloading, type OffloadingOptions, openOffloading } from './offloading.ts';

export interface KernelPathOptions extends Omit<OffloadingOptions, 'hook'> {
  readonly wanted: DatapathName;
  readonly start: Configured;
  readonly interfaces: readonly string[];
  readonly log: Log;
}

export interface KernelPath {
  readonly datapath: Choice['datapath'];
  /** Undefined: all packets go through this process. */
  readonly offloading: Offloading | undefined;
}

/** What was chosen is logged, with the reason. Throws LvsError where a path is asked for by name and cannot be had. */
export async function openKernelPath(options: KernelPathOptions): Promise<KernelPath> {
  const { wanted, start, log } = options;
  const marked = start.commands.some((command) => command.op === 'set-marks' && command.rules.length > 0);
  const { datapath, why } =
    wanted === 'live' ? choose(wanted, NOTHING, marked) : choose(wanted, await probe(), marked);
  if (datapath === 'live') {
    log('info', 'datapath', { datapath, why });
    return { datapath, offloading: undefined };
  }
  try {
    const offloading = await openAt(datapath, options);
    log('info', 'datapath', { datapath, why, flows: options.flows, octets: offloading.tables.octets });
    return { datapath, offloading };
  } catch (error) {
    if (wanted !== 'auto' || !(error instanceof LvsError) || error.code !== 'UNAVAILABLE') throw error;
    log('info', 'datapath', { datapath: 'live', why: `not ${datapath}: ${error.message}` });
    return { datapath: 'live', offloading: undefined };
  }
}

const NOTHING = { tc: [], xdp: [], other: [] };

async function openAt(hook: HookName, options: KernelPathOptions): Promise<Offloading> {
  const offloading = await openOffloading({ ...options, hook });
  try {
    for (const name of options.interfaces) await offloading.io.listen(name);
    return offloading;
  } catch (error) {
    offloading.close();
    offloading.io[Symbol.dispose]();
    throw error;
  }
}

/** Applies a director's changes to its host, in an order that never lets the host answer for a service. */

import type { GuardChange } from '../../host/guard-script.ts';
import { KernelGuard } from '../../host/kernel-guard.ts';
import { restoreAllMerging, stopMerging } from '../../host/merge-offloads.ts';
import { orphanedGuards, releaseGuard } from '../../host/orphaned-guards.ts';
import { checkVips, type VipAddress, VipAddresses } from '../../host/vip-addresses.ts';
import { LvsError } from '../../model/errors.ts';
import type { System } from '../../sys/system.ts';
import { formatAddress, parseAddress } from '../../wire/address.ts';
import type { Log } from '../log.ts';

/** The host's settings that a director changes. */
export interface HostSetup {
  /** Resolves when the host ignores the packets of what was added, and no longer those of what was removed. */
  withhold(change: GuardChange): Promise<void>;
  /** Resolves when the host has exactly these VIPs. Throws LvsError. */
  hold(vips: readonly VipAddress[]): Promise<void>;
  /** The VIPs that the director added. */
  readonly held: readonly VipAddress[];
  /** Releases the guards of killed directors. Call it when this guard and the VIPs are in place. */
  takeOver(): Promise<void>;
  /** Restores addresses that were removed. Call it once a second. */
  check(): void;
  /** Sets up an interface that is new or has come back; `interfaces`: all of them. */
  renew(interfaceName: string, interfaces: readonly string[]): Promise<void>;
  /** Guards an interface that the file does not name: nothing else is changed there. */
  guard(interfaces: readonly string[]): Promise<void>;
  /** Restores the host. Waits for the programs that do it. */
  close(): void;
}

/** Sets up the guard and the offloads of the interfaces. Throws LvsError. */
export async function setUpHost(options: {
  readonly interfaces: readonly string[];
  /** The interfaces whose merging offloads may be changed. */
  readonly named: readonly string[];
  /** Folder of the records for the next director. */
  readonly folder: string;
  readonly log: Log;
  /** True if the datapath accepts merged packets; the merging offloads of the interfaces then stay on. */
  readonly merged: boolean;
  /** Called, and awaited, before VIPs are added. */
  readonly beforeHold: (vips: readonly VipAddress[]) => Promise<void>;
  /** Undefined where system calls are not available. */
  readonly system: System | undefined;
}): Promise<HostSetup> {
  const { interfaces, named, folder, log, merged, beforeHold, system } = options;
  const guard = await KernelGuard.open(
    interfaces,
    ({ message }) => log('error', 'guard-failed', { error: message }),
    system,
  );
  const vips = new VipAddresses(({ message }) => log('error', 'vip-renewal-failed', { error: message }));
  /** As nft and `ip` print them. */
  const heldAddresses = () => new Set(vips.held.map(({ address }) => formatAddress(parseAddress(address)!)));
  const restorers = new Map<string, () => void>();
  // A director that was killed may have left them off.
  await restoreAllMerging(folder, merged ? [] : named);
  const setMerging = async (name: string) => {
    if (merged) return;
    const restore = await stopMerging(name, folder);
    if (!restorers.has(name)) restorers.set(name, restore);
  };
  for (const name of named) await setMerging(name);
  return {
    withhold: (change) => guard.withhold(change),
    async hold(wanted) {
      checkVips(wanted);
      await beforeHold(wanted);
      await vips.hold(wanted);
      await guard.hold(heldAddresses());
    },
    get held() {
      return vips.held;
    },
    async takeOver() {
      try {
        for (const table of await orphanedGuards()) {
          await releaseGuard(table, heldAddresses());
          log('warning', 'guard-taken-over', { table, reason: 'its director was killed' });
        }
      } catch (error) {
        if (!(error instanceof LvsError)) throw error;
        log('error', 'guard-failed', { error: error.message });
      }
    },
    guard: (all) => guard.renew(all),
    check: () => vips.check(),
    async renew(interfaceName, all) {
      // An interface that was re-created has its default settings.
      await setMerging(interfaceName);
      vips.renew();
      await guard.renew(all);
    },
    close() {
      vips.close();
      for (const restore of restorers.values()) restore();
      guard.close();
    },
  };
}

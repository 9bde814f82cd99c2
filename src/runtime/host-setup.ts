/** What a director changes on its host while it runs, in the order that never lets the kernel answer for a service. */

import type { Guarded } from '../host/guard-script.ts';
import { KernelGuard } from '../host/kernel-guard.ts';
import { stopMerging } from '../host/merge-offloads.ts';
import { checkVips, type VipAddress, VipAddresses } from '../host/vip-addresses.ts';
import type { Log } from './log.ts';

export interface HostSetUp {
  /** The kernel leaves these packets alone when this resolves. */
  keep(guarded: Guarded): Promise<void>;
  /** Resolves when the host has exactly these VIPs. Throws LvsError. */
  hold(vips: readonly VipAddress[]): Promise<void>;
  /** The VIPs that the director added. */
  readonly held: readonly VipAddress[];
  /** To be called every second or so: addresses can go without a word. */
  check(): void;
  /** After an interface came back, or is listened to now; `interfaces`: all that are. */
  renew(interfaceName: string, interfaces: readonly string[]): Promise<void>;
  /** Guards an interface that the file does not name: nothing else is changed there. */
  guard(interfaces: readonly string[]): Promise<void>;
  close(): void;
}

export async function setUpHost(options: {
  readonly interfaces: readonly string[];
  /** Those among them whose merging offloads may be changed. */
  readonly named: readonly string[];
  /** Where notes for the next director are kept. */
  readonly folder: string;
  readonly log: Log;
  /** Packets may stay merged as the interfaces merge them. */
  readonly merged: boolean;
  /** Called, and awaited, before VIPs are added. */
  readonly beforeHold: (vips: readonly VipAddress[]) => Promise<void>;
}): Promise<HostSetUp> {
  const { interfaces, named, folder, log, merged, beforeHold } = options;
  const guard = await KernelGuard.open(interfaces, (error) => log('error', 'guard', { why: error.message }));
  const vips = new VipAddresses((error) => log('error', 'vip-renewal', { why: error.message }));
  const stop = (name: string) => (merged ? () => {} : stopMerging(name, folder));
  const unmerge = new Map(named.map((name) => [name, stop(name)]));
  return {
    keep: (guarded) => guard.withhold(guarded),
    async hold(wanted) {
      checkVips(wanted);
      await beforeHold(wanted);
      vips.hold(wanted);
    },
    get held() {
      return vips.held;
    },
    guard: (all) => guard.renew(all),
    check: () => vips.check(),
    async renew(interfaceName, all) {
      // What came back has its defaults again; what is new has not been asked yet.
      const restore = stop(interfaceName);
      if (!unmerge.has(interfaceName)) unmerge.set(interfaceName, restore);
      vips.renew();
      await guard.renew(all);
    },
    close() {
      vips.close();
      for (const restore of unmerge.values()) restore();
      guard.close();
    },
  };
}

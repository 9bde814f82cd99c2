/** What a director changes on its host while it runs, in the order that never lets the kernel answer for a service. */

import type { Guarded } from '../host/guard-script.ts';
import { KernelGuard } from '../host/kernel-guard.ts';
import { stopMerging } from '../host/merge-offloads.ts';
import { checkVips, type VipAddress, VipAddresses } from '../host/vip-addresses.ts';
import type { Log } from './log.ts';

export interface HostSetUp {
  /** The kernel leaves these packets alone when this resolves. */
  keep(guarded: Guarded): Promise<void>;
  hold(vips: readonly VipAddress[]): void;
  /** To be called every second or so: addresses can go without a word. */
  check(): void;
  /** After an interface came back, or is listened to now; `interfaces`: all that are. */
  renew(interfaceName: string, interfaces: readonly string[]): Promise<void>;
  close(): void;
}

export async function setUpHost(options: {
  readonly interfaces: readonly string[];
  /** Where notes for the next director are kept. */
  readonly folder: string;
  readonly log: Log;
  /** Packets may stay merged as the interfaces merge them. */
  readonly merged: boolean;
}): Promise<HostSetUp> {
  const { interfaces, folder, log, merged } = options;
  const guard = await KernelGuard.open(interfaces, (error) => log('error', 'guard', { why: error.message }));
  const vips = new VipAddresses((error) => log('error', 'vip-renewal', { why: error.message }));
  const stop = (name: string) => (merged ? () => {} : stopMerging(name, folder));
  const unmerge = new Map(interfaces.map((name) => [name, stop(name)]));
  return {
    keep: (guarded) => guard.withhold(guarded),
    hold(wanted) {
      checkVips(wanted);
      vips.hold(wanted);
    },
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

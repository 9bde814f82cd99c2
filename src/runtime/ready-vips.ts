/** Finds out which VIPs this director can serve. */
import type { VipReadiness } from '../announce/vip-states.ts';
import type { Director } from '../director/director.ts';
import type { Service } from '../director/service.ts';
import { Slice } from '../model/slice.ts';
import { formatAddress } from '../wire/address.ts';

export interface ReadyVipsOptions {
  readonly director: Director;
  /** Reports whether packets are forwarded, and connections of other directors are known. */
  readonly isReady: () => boolean;
  /** Reports whether services of an address are being removed. */
  readonly isDraining: (address: string) => boolean;
}

export class ReadyVips {
  readonly #options: ReadyVipsOptions;
  readonly #addresses = new WeakMap<Service, string>();

  constructor(options: ReadyVipsOptions) {
    this.#options = options;
  }

  /**
   * Resolves with the VIPs and whether each can be served. `vips`: canonical addresses; undefined: those of all services. Works
   * in slices.
   */
  async of(vips: readonly string[] | undefined): Promise<ReadonlyMap<string, VipReadiness>> {
    const { director, isReady, isDraining } = this.#options;
    const isRunning = isReady();
    const slice = new Slice();
    const all = new Map<string, boolean>((vips ?? []).map((vip) => [vip, false]));
    const served = new Set<string>();
    let areMarksAccepting = false;
    for (const service of director.context.services.all) {
      if (slice.spent) await slice.next();
      const address = service.mark === 0 ? this.#addressOf(service) : undefined;
      const isAccepting = isRunning && service.destinations.some((one) => one.weight > 0 && !one.overloaded);
      if (address === undefined) areMarksAccepting ||= isAccepting;
      else if (vips === undefined || all.has(address)) {
        served.add(address);
        all.set(address, isAccepting || all.get(address) === true);
      }
    }
    return new Map(
      [...all].map(([vip, isAccepting]): [string, VipReadiness] => {
        if (!served.has(vip)) return [vip, areMarksAccepting];
        return [vip, isRunning && !isAccepting && isDraining(vip) ? 'unchanged' : isAccepting];
      }),
    );
  }

  #addressOf(service: Service): string {
    const known = this.#addresses.get(service) ?? formatAddress(service.address);
    this.#addresses.set(service, known);
    return known;
  }
}

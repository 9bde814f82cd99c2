/** The VIPs that this host should have: those of the file, and those that draining connections still use. */
import type { VipAddress } from '../../host/vip-addresses.ts';
import type { Drains } from '../drains.ts';

export class HeldVips {
  readonly #drains: Pick<Drains, 'uses'>;
  #wanted: readonly VipAddress[] = [];
  /** No longer in the file. */
  #former: readonly VipAddress[] = [];

  constructor(drains: Pick<Drains, 'uses'>) {
    this.#drains = drains;
  }

  /** Sets the VIPs of the file. Others remain until `release`. */
  set(vips: readonly VipAddress[]): void {
    this.#former = [...this.#former, ...this.#wanted];
    this.#wanted = vips;
  }

  /** Releases those that are not in the file, and that no draining service uses. */
  release(): void {
    const wanted = new Set(this.#wanted.map(({ address }) => address));
    this.#former = this.#former.filter(({ address }) => !wanted.has(address) && this.#drains.uses(address));
  }

  get all(): readonly VipAddress[] {
    return [...this.#wanted, ...this.#former];
  }
}

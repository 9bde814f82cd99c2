/**
 * Decides how long a guard withholds packets after its director was killed: a while longer than the VIPs that the director
 * added exist. VIPs of other programs do not expire, so the guard withholds their packets until it is released.
 */
import type { ServiceAddress } from '../model/service.ts';
import { RENEWAL_INTERVAL_MS, VIP_LIFETIME_S } from './vip-addresses.ts';

/** Lifetime after the last renewal, s. A VIP may have been renewed one interval later than the guard, or slowly. */
const LIFETIME_S = VIP_LIFETIME_S + (2 * RENEWAL_INTERVAL_MS) / 1000;

/** IPv4 and IPv6, as nft calls them. */
const PROTOCOLS = ['ip', 'ip6'];

/** Declarations of the sets: a protocol is in `running` until the lifetime ends, and in `lasting` while VIPs are not held. */
export const LIFETIME_SETS: readonly string[] = [
  `running { type ether_type; timeout ${LIFETIME_S}s; }`,
  'lasting { type ether_type; }',
  'held4 { type ipv4_addr; }',
  'held6 { type ipv6_addr; }',
];

/** Returns one transaction that starts the lifetime again. Linux before 6.12 keeps the timeout of an existing element. */
export function renewLifetime(table: string): string {
  const elements = `element netdev ${table} running { ${PROTOCOLS.join(', ')} }`;
  return `add ${elements}; delete ${elements}; add ${elements}`;
}

type Element = readonly [set: string, element: string];
const heldElement = (address: string): Element => [address.includes(':') ? 'held6' : 'held4', address];

/** The VIPs that a director holds, and the services whose VIPs it does not hold. */
export class GuardLifetime {
  /** Addresses of services, with the number of services. */
  readonly #addresses = new Map<string, number>();
  /** Number of services by firewall mark, whose addresses are not known. */
  #marks = 0;
  #held: ReadonlySet<string> = new Set();
  /** Number of addresses of services that are not held. */
  #unheld = 0;
  /** Whether the table has the elements of `lasting`. */
  #lasts = false;

  /** Counts a service that exists (1), or does not any more (-1). */
  count(service: ServiceAddress, step: 1 | -1): void {
    if (!('address' in service)) {
      this.#marks += step;
      return;
    }
    const { address } = service;
    const count = (this.#addresses.get(address) ?? 0) + step;
    if (count > 0) this.#addresses.set(address, count);
    else this.#addresses.delete(address);
    if (count === (step > 0 ? 1 : 0) && !this.#held.has(address)) this.#unheld += step;
  }

  /** Sets the VIPs that the director holds. Returns the elements to add and to remove. */
  hold(held: ReadonlySet<string>): {
    readonly added: readonly Element[];
    readonly removed: readonly Element[];
  } {
    const before = this.#held;
    this.#held = held;
    this.#unheld = [...this.#addresses.keys()].filter((address) => !held.has(address)).length;
    const only = (some: ReadonlySet<string>, others: ReadonlySet<string>) =>
      [...some].filter((address) => !others.has(address)).map(heldElement);
    return { added: only(held, before), removed: only(before, held) };
  }

  /** Returns the elements by which the table must change, if it must outlast or no longer outlast its lifetime. */
  takeChange(): { readonly lasts: boolean; readonly elements: readonly Element[] } | undefined {
    const lasts = this.#unheld > 0 || (this.#marks > 0 && this.#held.size === 0);
    if (lasts === this.#lasts) return undefined;
    this.#lasts = lasts;
    return { lasts, elements: PROTOCOLS.map((protocol): Element => ['lasting', protocol]) };
  }

  /** The elements of a new table. */
  get elements(): readonly Element[] {
    const lasting = this.#lasts ? PROTOCOLS.map((protocol): Element => ['lasting', protocol]) : [];
    return [...lasting, ...[...this.#held].map(heldElement)];
  }
}

/** Holds the VIPs as local addresses of this host while the director runs: they have a lifetime, which is renewed. */
import { LvsError } from '../model/errors.ts';
import { interfaceAddresses } from './interface-addresses.ts';
import { isInterfaceName } from './link-facts.ts';
import { runProgram, runProgramNow } from './run-program.ts';

/** An address to hold, and the label of an alias (eth0:101), which ifconfig shows. */
export interface VipAddress {
  readonly device: string;
  readonly alias?: string;
  readonly address: string;
  /** Several hosts have it on purpose: it is neither probed nor announced, and no conflict is reported. */
  readonly isShared?: boolean;
}

/** Lifetime of an address after its last renewal, s. A killed director leaves its VIPs for no longer. */
export const VIP_LIFETIME_S = 60;
export const RENEWAL_INTERVAL_MS = 15_000;

export class VipAddresses {
  #held: readonly VipAddress[] = [];
  readonly #timer: NodeJS.Timeout;
  readonly #failed: (error: LvsError) => void;

  /** `failed` is called when a renewal fails. */
  constructor(failed: (error: LvsError) => void) {
    this.#failed = failed;
    this.#timer = setInterval(() => this.renew(), RENEWAL_INTERVAL_MS).unref();
  }

  /** The VIPs that the director added. */
  get held(): readonly VipAddress[] {
    return this.#held;
  }

  /** Adds missing VIPs and removes those no longer wanted. Does not touch permanent addresses of the host. Throws LvsError. */
  async hold(vips: readonly VipAddress[]): Promise<void> {
    const permanent = await permanentAddresses();
    const wanted = vips.filter(({ address }) => !permanent.has(address));
    const names = new Set(wanted.map(({ device, address }) => `${address} ${device}`));
    const unwanted = this.#held.filter(({ device, address }) => !names.has(`${address} ${device}`));
    // Set first: the next renewal retries an address that cannot be added now.
    this.#held = wanted;
    await run(unwanted.map(removal)).catch(() => {});
    await run(wanted.map(renewal)).catch(({ message }: LvsError) => {
      throw new LvsError('IO', `VIPs: cannot be set: ${message} (needs root or CAP_NET_ADMIN)`);
    });
  }

  /** Extends the lifetimes, and adds VIPs again that were removed with their interface. Does not wait. */
  renew(): void {
    if (this.#held.length === 0) return;
    run(this.#held.map(renewal)).catch((error: LvsError) =>
      this.#failed(new LvsError('IO', `VIPs: cannot be renewed: ${error.message}`)),
    );
  }

  /** Adds VIPs again that were removed when their interface went down briefly, as the kernel does with IPv6 addresses. */
  check(): void {
    const all = interfaceAddresses();
    const local = new Set(all.map(({ address }) => address));
    const devices = new Set(all.map(({ device }) => device));
    if (this.#held.some(({ device, address }) => !local.has(address) && devices.has(device))) this.renew();
  }

  /** Removes the addresses. */
  close(): void {
    clearInterval(this.#timer);
    if (this.#held.length > 0) runProgramNow('ip', IP_BATCH, this.#held.map(removal).join(''));
    this.#held = [];
  }
}

const hostPrefix = (address: string) => (address.includes(':') ? 128 : 32);

function renewal({ device, alias, address }: VipAddress): string {
  const label = alias === undefined || address.includes(':') ? '' : ` label ${device}:${alias}`;
  // nodad: the kernel would not use the VIP before duplicate address detection ends (RFC 4862 section 5.4).
  // preferred_lft 0: the host's own connections must use another source address (RFC 6724 section 5, rule 3). The real
  // servers have the VIP too, and would answer health checks from it to themselves. In IPv4 the route names the source.
  const nodad = address.includes(':') ? ' nodad' : '';
  const preferred = address.includes(':') ? 0 : VIP_LIFETIME_S;
  return `address replace ${address}/${hostPrefix(address)} dev ${device}${label} valid_lft ${VIP_LIFETIME_S} preferred_lft ${preferred}${nodad}\n`;
}

const removal = ({ device, address }: VipAddress): string =>
  `address delete ${address}/${hostPrefix(address)} dev ${device}\n`;

/** -force: a missing interface must not prevent the other changes. */
const IP_BATCH = ['-force', '-batch', '-'];

async function run(lines: readonly string[]): Promise<void> {
  if (lines.length > 0) await runProgram('ip', IP_BATCH, lines.join(''));
}

interface ListedAddress {
  readonly device: string;
  readonly local: string;
  readonly prefixlen: number;
  readonly valid_life_time: number;
}
const INFINITE_LIFETIME = 0xffffffff;

async function listedAddresses(): Promise<ListedAddress[]> {
  const stdout = await runProgram('ip', ['-json', 'address', 'show']);
  const links = JSON.parse(stdout || '[]') as readonly {
    readonly ifname: string;
    readonly addr_info?: readonly (Omit<ListedAddress, 'device' | 'local'> & { readonly local?: string })[];
  }[];
  return links.flatMap(({ ifname, addr_info = [] }) =>
    addr_info.map((each) => ({ local: '', ...each, device: ifname })),
  );
}

/** Reports whether a director added the address: a host prefix with a lifetime. */
const isExpiringVip = ({ local, prefixlen, valid_life_time }: ListedAddress): boolean =>
  prefixlen === hostPrefix(local) && valid_life_time !== INFINITE_LIFETIME;

/** Returns the addresses that no director added. */
async function permanentAddresses(): Promise<ReadonlySet<string>> {
  const all = await listedAddresses();
  return new Set(all.filter((each) => !isExpiringVip(each)).map(({ local }) => local));
}

/** Removes those of these VIPs that a director added: others of the host have no lifetime. */
export async function removeExpiringVips(vips: ReadonlySet<string>): Promise<void> {
  const all = await listedAddresses();
  await run(
    all
      .filter((each) => vips.has(each.local) && isExpiringVip(each))
      .map(({ device, local }) => removal({ device, address: local })),
  );
}

/** Throws LvsError CONFIG if a VIP's interface name or label is invalid. */
export function checkVips(vips: readonly VipAddress[]): void {
  for (const { device, alias } of vips) {
    const label = alias === undefined ? device : `${device}:${alias}`;
    // IFNAMSIZ bounds a label as it does an interface name, colon and alias included.
    if (!isInterfaceName(device) || label.length > 15)
      throw new LvsError(
        'CONFIG',
        `${label}: longer than 15 characters (IFNAMSIZ - 1), or not an interface name`,
      );
  }
}

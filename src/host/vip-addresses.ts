/** Makes the VIPs local addresses of this host for as long as the director lives: they run out when nobody renews them. */
import { execFile, spawnSync } from 'node:child_process';
import { networkInterfaces } from 'node:os';
import { LvsError } from '../model/errors.ts';
import { isInterfaceName } from './link-facts.ts';

/** An address to hold, and the old label of an alias (eth0:101) that tools show. */
export interface VipAddress {
  readonly device: string;
  readonly alias?: string;
  readonly address: string;
}

/** Seconds that an address stays after the last renewal. A director that was killed leaves nothing behind for longer. */
const LIFETIME = 60;
/** ms between two renewals. */
const RENEWAL = 15_000;

export class VipAddresses {
  #held: readonly VipAddress[] = [];
  readonly #timer: NodeJS.Timeout;
  readonly #failed: (error: LvsError) => void;

  /** `failed` hears of renewals that did not work. */
  constructor(failed: (error: LvsError) => void) {
    this.#failed = failed;
    this.#timer = setInterval(() => this.renew(), RENEWAL).unref();
  }

  /** Adds those that are missing and gives up those that are no longer wanted. What the host has by itself is left alone. */
  hold(vips: readonly VipAddress[]): void {
    const own = permanentAddresses();
    const wanted = vips.filter(({ address }) => !own.has(address));
    const names = new Set(wanted.map(({ device, address }) => `${address} ${device}`));
    const given = this.#held.filter(({ device, address }) => !names.has(`${address} ${device}`));
    // First of all: what cannot be set now is tried again with the next renewal.
    this.#held = wanted;
    run(given.map(removal));
    run(wanted.map(renewal), true);
  }

  /** Puts off their end, and brings back those that went with their interface. Does not wait. */
  renew(): void {
    if (this.#held.length === 0) return;
    // -force: those of an interface that is away must not keep the others from being renewed.
    const child = execFile('ip', ['-force', '-batch', '-'], (error, _stdout, stderr) => {
      if (error) this.#failed(new LvsError('IO', `VIPs could not be renewed: ${stderr.trim()}`));
    });
    child.stdin?.on('error', () => {});
    child.stdin?.end(this.#held.map(renewal).join(''));
  }

  /** Brings back at once what went with an interface that was away for a moment; IPv6 addresses always do. */
  check(): void {
    const links = networkInterfaces();
    const local = new Set(Object.values(links).flatMap((each = []) => each.map(({ address }) => address)));
    if (this.#held.some(({ device, address }) => !local.has(address) && links[device])) this.renew();
  }

  /** Takes the addresses away. */
  close(): void {
    clearInterval(this.#timer);
    run(this.#held.map(removal));
    this.#held = [];
  }
}

const hostPrefix = (address: string) => (address.includes(':') ? 128 : 32);

function renewal({ device, alias, address }: VipAddress): string {
  const label = alias === undefined || address.includes(':') ? '' : ` label ${device}:${alias}`;
  // nodad: a VIP moves between directors, the network is not asked first (RFC 4862 section 5.4). Deprecated: what this
  // host begins itself has to come from another address (RFC 6724 section 5, rule 3), or the real servers, which have the
  // VIP too, would answer its health checks to themselves. IPv4 takes the source that the route names.
  const six = address.includes(':') ? ' nodad' : '';
  const preferred = address.includes(':') ? 0 : LIFETIME;
  return `address replace ${address}/${hostPrefix(address)} dev ${device}${label} valid_lft ${LIFETIME} preferred_lft ${preferred}${six}\n`;
}

const removal = ({ device, address }: VipAddress): string =>
  `address delete ${address}/${hostPrefix(address)} dev ${device}\n`;

function run(lines: readonly string[], mustWork = false): void {
  if (lines.length === 0) return;
  const { status, stderr, error } = spawnSync('ip', ['-force', '-batch', '-'], {
    input: lines.join(''),
    encoding: 'utf8',
  });
  if (!mustWork || status === 0) return;
  throw new LvsError(
    'IO',
    `cannot set the VIPs: ${(error?.message ?? stderr).trim()} (needs root or CAP_NET_ADMIN)`,
  );
}

interface ListedAddress {
  readonly local?: string;
  readonly prefixlen: number;
  readonly valid_life_time: number;
}

/** Addresses that are not ours: a host prefix with an end is what a director before us has left. */
function permanentAddresses(): ReadonlySet<string> {
  const { stdout } = spawnSync('ip', ['-json', 'address', 'show'], { encoding: 'utf8' });
  const links = JSON.parse(stdout || '[]') as readonly { readonly addr_info?: readonly ListedAddress[] }[];
  const FOREVER = 0xffffffff;
  return new Set(
    links
      .flatMap(({ addr_info = [] }) => addr_info)
      .filter(
        ({ local = '', prefixlen, valid_life_time }) =>
          prefixlen !== hostPrefix(local) || valid_life_time === FOREVER,
      )
      .map(({ local = '' }) => local),
  );
}

/** Throws when a VIP cannot be held as it is written. */
export function checkVips(vips: readonly VipAddress[]): void {
  for (const { device, alias } of vips) {
    const label = alias === undefined ? device : `${device}:${alias}`;
    // A label counts as an interface's name (IFNAMSIZ), colon and alias included.
    if (!isInterfaceName(device) || label.length > 15)
      throw new LvsError('CONFIG', `${label}: a device and its alias are 15 letters at most`);
  }
}

/** Looks up the host's routes: next hop, MTU and source address by the kernel's main tables. Lookups allocate nothing. */
import {
  type Address,
  addressFromV4,
  familyOf,
  isV4,
  parseAddress,
  prefixMask,
  sameAddress,
} from '../wire/address.ts';
import { mix } from '../wire/hash.ts';
import { readHostFile } from './host-file.ts';
import { type InterfaceAddress, interfaceAddresses } from './interface-addresses.ts';
import { linkFacts } from './link-facts.ts';

/** A route as forwarding/method.ts has it, with its interface. */
export interface LinkRoute {
  /** Bytes. */
  readonly mtu: number;
  readonly source: Address;
  /** Name of the interface. */
  readonly device: string;
  /** The next hop, a neighbor on that interface. */
  readonly hop: Address;
}

/** A route of a routing table. */
export interface TableEntry {
  readonly to: Address;
  readonly bits: number;
  readonly metric: number;
  readonly device: string;
  /** Undefined: the destination is on the link itself. */
  readonly gateway: Address | undefined;
}

/** RTF_UP and RTF_REJECT of /proc/net/route's flags (linux/route.h). */
const UP = 0x1;
const REJECT = 0x200;

/** Parses /proc/net/route: the main table of IPv4. Addresses are hexadecimal words in host (little-endian) order. */
export function parseRoutes4(text: string): TableEntry[] {
  const word = (hex: string) => {
    const swapped = Number.parseInt(hex, 16);
    return (
      (((swapped & 0xff) << 24) |
        ((swapped & 0xff00) << 8) |
        ((swapped >>> 8) & 0xff00) |
        (swapped >>> 24)) >>>
      0
    );
  };
  return text
    .split('\n')
    .slice(1)
    .flatMap((line): TableEntry[] => {
      const [device, to, gateway, flags, , , metric, mask] = line.split('\t');
      if (device === undefined || mask === undefined) return [];
      const flag = Number.parseInt(flags!, 16);
      if ((flag & UP) === 0 || (flag & REJECT) !== 0) return [];
      const ones = word(mask).toString(2).replaceAll('0', '').length;
      const via = word(gateway!);
      return [
        {
          device,
          to: addressFromV4(word(to!)),
          bits: ones,
          metric: Number(metric),
          gateway: via === 0 ? undefined : addressFromV4(via),
        },
      ];
    });
}

/** Parses /proc/net/ipv6_route: destination, prefix length and gateway in hexadecimal, metric, flags, device. */
export function parseRoutes6(text: string): TableEntry[] {
  const address = (hex: string) =>
    Uint32Array.from([0, 8, 16, 24], (at) => Number.parseInt(hex.slice(at, at + 8), 16));
  return text.split('\n').flatMap((line): TableEntry[] => {
    const [to, bits, , , via, metric, , , flags, device] = line.trim().split(/\s+/);
    if (to === undefined || device === undefined || device === 'lo') return [];
    const flag = Number.parseInt(flags!, 16);
    if ((flag & UP) === 0 || (flag & REJECT) !== 0) return [];
    const gateway = address(via!);
    return [
      {
        device,
        to: address(to),
        bits: Number.parseInt(bits!, 16),
        metric: Number.parseInt(metric!, 16),
        gateway: gateway.every((each) => each === 0) ? undefined : gateway,
      },
    ];
  });
}

interface OwnAddress {
  readonly device: string;
  readonly address: Address;
  readonly mask: Address;
  /** True for a host prefix, which is a VIP rather than a source address. */
  readonly isHostPrefix: boolean;
}

/** Size of the cache of lookups: a power of two. */
const CACHE_ENTRIES = 4096;

export class Routes {
  #table: readonly TableEntry[] = [];
  #own: readonly OwnAddress[] = [];
  #local4: ReadonlySet<number> = new Set();
  #local6: readonly Address[] = [];
  #text = '';
  #version = 0;
  readonly #keys = new Uint32Array(CACHE_ENTRIES * 4);
  readonly #answers: (LinkRoute | undefined)[] = new Array(CACHE_ENTRIES).fill(undefined);

  constructor() {
    this.refresh();
  }

  /** Changes whenever addresses or routes have changed. */
  get version(): number {
    return this.#version;
  }

  /** Reads addresses and tables again; returns true if something changed. */
  refresh(): boolean {
    const read = (file: string) => {
      try {
        return readHostFile(`/proc/self/net/${file}`);
      } catch {
        return '';
      }
    };
    const routes4 = read('route');
    const routes6 = read('ipv6_route')
      .split('\n')
      // Clears the use counts, which change with every packet.
      .map((line) => line.replace(/ [0-9a-f]{8} [0-9a-f]{8} (?=[0-9a-f]{8} +\S+$)/, ' 0 0 '))
      .join('\n');
    const addresses = interfaceAddresses();
    const mtus = [...new Set(addresses.map(({ device }) => device))].map((name) => linkFacts(name)?.mtu);
    const text = JSON.stringify([routes4, routes6, addresses, mtus]);
    if (text === this.#text) return false;
    this.#text = text;
    this.#version++;
    this.#own = addresses.flatMap(ownAddress);
    this.#local4 = new Set(
      this.#own.filter(({ address }) => isV4(address)).map(({ address }) => address[3]! | 0),
    );
    this.#local6 = this.#own.filter(({ address }) => !isV4(address)).map(({ address }) => address);
    this.#table = [...parseRoutes4(routes4), ...parseRoutes6(routes6)].sort(
      (a, b) => b.bits - a.bits || a.metric - b.metric,
    );
    this.#keys.fill(0);
    this.#answers.fill(undefined);
    return true;
  }

  /** The routes, the most specific first; of equal prefixes, the one in use first. */
  get entries(): readonly TableEntry[] {
    return this.#table;
  }

  /** The host's own addresses. */
  get own(): readonly Address[] {
    return this.#own.map(({ address }) => address);
  }

  /** Returns the interface that has an address of this host; undefined if it is not the host's. */
  deviceOf(text: string): string | undefined {
    const address = parseAddress(text);
    return address && this.#own.find((own) => sameAddress(own.address, address))?.device;
  }

  /** Returns the interface whose network contains an address, a loopback or host prefix apart; undefined if none does. */
  networkOf(text: string): string | undefined {
    const wanted = parseAddress(text);
    if (!wanted) return undefined;
    const family = familyOf(wanted);
    return this.#own.find(
      ({ address, mask, isHostPrefix }) =>
        !isHostPrefix && familyOf(address) === family && isWithin(wanted, address, mask),
    )?.device;
  }

  /** Reports whether a default route leads through the interface: packets from anywhere may come by it. */
  isDefault(name: string): boolean {
    return this.#table.some(({ device, bits }) => device === name && bits === 0);
  }

  /** Reports whether the address is one of the host's own. */
  isLocal(address: Address): boolean {
    if (isV4(address)) return this.#local4.has(address[3]! | 0);
    for (const own of this.#local6) if (sameAddress(own, address)) return true;
    return false;
  }

  /** Returns undefined if there is no route. */
  route(to: Address): LinkRoute | undefined {
    const hash = mix(to[0]! ^ to[1]! ^ to[2]! ^ to[3]!) >>> 20;
    const slot = hash & (CACHE_ENTRIES - 1);
    const keys = this.#keys;
    const at = slot * 4;
    if (keys[at] === to[0] && keys[at + 1] === to[1] && keys[at + 2] === to[2] && keys[at + 3] === to[3])
      return this.#answers[slot];
    keys.set(to, at);
    const found = this.#find(to);
    this.#answers[slot] = found;
    return found;
  }

  #find(to: Address): LinkRoute | undefined {
    const family = familyOf(to);
    const entry = this.#table.find(
      (each) => familyOf(each.to) === family && isWithin(to, each.to, prefixMask(family, each.bits)),
    );
    if (!entry) return undefined;
    const hop = entry.gateway ?? to;
    const mine = this.#own.filter(({ address }) => familyOf(address) === family);
    const here = mine.filter(({ device }) => device === entry.device);
    const source =
      mine.find(({ address }) => sameAddress(address, to)) ??
      here.find(({ address, mask, isHostPrefix }) => !isHostPrefix && isWithin(hop, address, mask)) ??
      here.find(({ isHostPrefix, address }) => !isHostPrefix && !isLinkLocal(address)) ??
      here[0] ??
      mine.find(({ isHostPrefix }) => !isHostPrefix);
    const mtu = linkFacts(entry.device)?.mtu;
    if (!source || mtu === undefined) return undefined;
    return { mtu, source: source.address, device: entry.device, hop: hop.slice() };
  }
}

function isWithin(address: Address, net: Address, mask: Address): boolean {
  for (let i = 0; i < 4; i++) if (((address[i]! ^ net[i]!) & mask[i]!) !== 0) return false;
  return true;
}

/** fe80::/10 (RFC 4291 section 2.5.6). */
const isLinkLocal = (address: Address): boolean => address[0]! >>> 22 === 0x3fa;

function ownAddress({ device, address: text, prefix, isLoopback }: InterfaceAddress): OwnAddress[] {
  const address = parseAddress(text);
  if (!address) return [];
  const family = familyOf(address);
  const isHostPrefix = isLoopback || prefix === (family === 4 ? 32 : 128);
  return [{ device, address, mask: prefixMask(family, prefix), isHostPrefix }];
}

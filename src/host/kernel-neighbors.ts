/** Reads the kernel's neighbor table (`ip neigh`): MAC addresses by IP address and interface. */
import type { System } from '../sys/system.ts';
import { SystemCallError } from '../sys/system-call-error.ts';
import { type Address, addressFromV4, isV4 } from '../wire/address.ts';
import { MAC, type MacAddress, sameMac } from '../wire/ethernet.ts';
import { attribute, type Message, Netlink, withAttribute } from './netlink.ts';

/* include/uapi/linux/rtnetlink.h and neighbour.h */
const RTM_NEWNEIGH = 28;
const RTM_GETNEIGH = 30;
const NLM_F_REPLACE = 0x100;
const NLM_F_CREATE = 0x400;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const AF_INET = 2;
const AF_INET6 = 10;
/** Treats the entry as if the kernel itself had sent a packet to it. */
const NTF_USE = 0x01;
/** Known, but not confirmed recently. */
const NUD_STALE = 0x04;
/** REACHABLE, STALE, DELAY, PROBE, PERMANENT: the entry's MAC address is used. */
const USABLE = 0x02 | NUD_STALE | 0x08 | 0x10 | 0x80;

/** struct ndmsg. */
const NDMSG = { family: 0, interfaceIndex: 4, state: 8, flags: 10, size: 12 } as const;

interface Known {
  readonly address: Address;
  readonly interfaceIndex: number;
  readonly mac: MacAddress;
  readonly isStale: boolean;
}

const keyOf = (address: Address, interfaceIndex: number): string => `${interfaceIndex} ${address.join(' ')}`;

export class KernelNeighbors implements Disposable {
  readonly #netlink: Netlink;
  #known: ReadonlyMap<string, Known> = new Map();
  /** Entries that were looked up since the last `confirm`. */
  readonly #used = new Set<string>();

  /** Throws SystemCallError. */
  constructor(system: System) {
    this.#netlink = new Netlink(system);
  }

  /** Returns undefined while the neighbor is unknown. Returns the same object until its MAC address changes. */
  mac(address: Address, interfaceIndex: number): MacAddress | undefined {
    const key = keyOf(address, interfaceIndex);
    this.#used.add(key);
    return this.#known.get(key)?.mac;
  }

  /** Reads the kernel's table. If that fails (out of memory), the previous entries stay. */
  refresh(): void {
    const known = new Map<string, Known>();
    try {
      this.#netlink.dump(RTM_GETNEIGH, new Uint8Array(NDMSG.size), (message) => {
        const found = read(message);
        if (!found) return;
        const key = keyOf(found.address, found.interfaceIndex);
        const before = this.#known.get(key);
        known.set(key, before && sameMac(before.mac, 0, found.mac) ? { ...found, mac: before.mac } : found);
      });
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      return;
    }
    this.#known = known;
  }

  /** Makes the kernel confirm the stale entries that are in use, as its own packets would. */
  confirm(): void {
    for (const key of this.#used) {
      const known = this.#known.get(key);
      if (known?.isStale) this.#use(known);
    }
    this.#used.clear();
  }

  /** Makes the kernel ask for a neighbor that is not known, as its own packets would: programs send none of those. */
  solicit(address: Address, interfaceIndex: number): void {
    if (!this.#known.has(keyOf(address, interfaceIndex))) this.#use({ address, interfaceIndex });
  }

  #use({ address, interfaceIndex }: Pick<Known, 'address' | 'interfaceIndex'>): void {
    const octets = octetsOf(address);
    const body = new Uint8Array(NDMSG.size);
    const view = new DataView(body.buffer);
    view.setUint8(NDMSG.family, octets.length === 4 ? AF_INET : AF_INET6);
    view.setInt32(NDMSG.interfaceIndex, interfaceIndex, true);
    view.setUint8(NDMSG.flags, NTF_USE);
    try {
      this.#netlink.request(
        RTM_NEWNEIGH,
        NLM_F_CREATE | NLM_F_REPLACE,
        Buffer.concat([body, withAttribute(NDA_DST, octets)]),
      );
    } catch (error) {
      // The interface or its address has gone meanwhile: the next refresh removes the entry here, too.
      if (!(error instanceof SystemCallError)) throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#netlink[Symbol.dispose]();
  }
}

/** Returns the entry of a message; undefined unless it has a usable MAC address. */
function read(message: Message): Known | undefined {
  const state = message.getUint16(NDMSG.state, true);
  const address = attribute(message, NDMSG.size, NDA_DST);
  const mac = attribute(message, NDMSG.size, NDA_LLADDR);
  if ((state & USABLE) === 0 || !address || mac?.length !== MAC) return undefined;
  return {
    address: addressOf(address),
    interfaceIndex: message.getInt32(NDMSG.interfaceIndex, true),
    mac: mac.slice() as MacAddress,
    isStale: (state & NUD_STALE) !== 0,
  };
}

function addressOf(octets: Uint8Array): Address {
  const view = new DataView(octets.buffer, octets.byteOffset, octets.length);
  if (octets.length === 4) return addressFromV4(view.getUint32(0));
  return Uint32Array.of(view.getUint32(0), view.getUint32(4), view.getUint32(8), view.getUint32(12));
}

function octetsOf(address: Address): Uint8Array {
  const octets = new Uint8Array(16);
  const view = new DataView(octets.buffer);
  for (const [i, word] of address.entries()) view.setUint32(4 * i, word);
  return isV4(address) ? octets.subarray(12) : octets;
}

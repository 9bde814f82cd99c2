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
/** It does not answer. */
const NUD_FAILED = 0x20;
/** REACHABLE, STALE, DELAY, PROBE, PERMANENT: the entry's MAC address is used. */
const USABLE = 0x02 | NUD_STALE | 0x08 | 0x10 | 0x80;

/**
 * Time for which an entry remains known after the kernel has forgotten it, ms. The kernel forgets neighbors that only
 * programs send to, because no packet of its IP stack uses them.
 */
const FORGOTTEN_ENTRY_MS = 10_000;

/** struct ndmsg. */
const NDMSG = { family: 0, interfaceIndex: 4, state: 8, flags: 10, size: 12 } as const;

interface Neighbor {
  readonly address: Address;
  readonly interfaceIndex: number;
}

interface Known extends Neighbor {
  readonly mac: MacAddress;
  readonly isStale: boolean;
  /** When the kernel was found to have forgotten it, ms; undefined: the kernel has it. */
  readonly forgottenAt?: number;
}

const keyOf = (address: Address, interfaceIndex: number): string => `${interfaceIndex} ${address.join(' ')}`;

export class KernelNeighbors implements Disposable {
  readonly #netlink: Netlink;
  readonly #clock: () => number;
  #known = new Map<string, Known>();
  /** Entries that were looked up since the last `confirm`. */
  readonly #used = new Set<string>();

  /** `clock`: ms. Throws SystemCallError. */
  constructor(system: System, clock: () => number) {
    this.#netlink = new Netlink(system);
    this.#clock = clock;
  }

  /**
   * Returns undefined while the neighbor is unknown; one that the kernel has forgotten is known for 10 s more. Returns the same
   * object until its MAC address changes.
   */
  mac(address: Address, interfaceIndex: number): MacAddress | undefined {
    const key = keyOf(address, interfaceIndex);
    this.#used.add(key);
    return this.#known.get(key)?.mac;
  }

  /** Makes a neighbor known that another process has sent to, unless the kernel knows it, as if the kernel had forgotten it now. */
  assume(address: Address, interfaceIndex: number, mac: MacAddress): void {
    const key = keyOf(address, interfaceIndex);
    if (this.#known.has(key)) return;
    this.#known.set(key, { address, interfaceIndex, mac, isStale: true, forgottenAt: this.#clock() });
  }

  /** Reads the kernel's table. If that fails (out of memory), the previous entries stay. */
  refresh(): void {
    const known = new Map<string, Known>();
    const failed = new Set<string>();
    try {
      this.#netlink.dump(RTM_GETNEIGH, new Uint8Array(NDMSG.size), (message) => {
        const found = read(message);
        if (!found) return;
        const { mac, state } = found;
        const key = keyOf(found.address, found.interfaceIndex);
        if ((state & NUD_FAILED) !== 0) failed.add(key);
        if ((state & USABLE) === 0 || !mac) return;
        const before = this.#known.get(key);
        const same = before && sameMac(before.mac, 0, mac) ? before.mac : mac;
        known.set(key, { ...found, mac: same, isStale: (state & NUD_STALE) !== 0 });
      });
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      return;
    }
    const now = this.#clock();
    for (const [key, before] of this.#known) {
      if (known.has(key) || failed.has(key)) continue;
      const { forgottenAt = now } = before;
      if (now - forgottenAt < FORGOTTEN_ENTRY_MS) known.set(key, { ...before, isStale: true, forgottenAt });
    }
    this.#known = known;
  }

  /** Makes the kernel ask for the entries in use that it has forgotten. */
  recall(): void {
    for (const key of this.#used) {
      const known = this.#known.get(key);
      if (known?.forgottenAt !== undefined) this.#use(known);
    }
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
    const known = this.#known.get(keyOf(address, interfaceIndex));
    if (known === undefined || known.forgottenAt !== undefined) this.#use({ address, interfaceIndex });
  }

  #use({ address, interfaceIndex }: Neighbor): void {
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

/** Returns the entry of a message, with its MAC address if it has one; undefined: it is of no address. */
function read(
  message: Message,
): (Neighbor & { readonly state: number; readonly mac: MacAddress | undefined }) | undefined {
  const address = attribute(message, NDMSG.size, NDA_DST);
  if (!address) return undefined;
  const mac = attribute(message, NDMSG.size, NDA_LLADDR);
  return {
    address: addressOf(address),
    interfaceIndex: message.getInt32(NDMSG.interfaceIndex, true),
    state: message.getUint16(NDMSG.state, true),
    mac: mac?.length === MAC ? (mac.slice() as MacAddress) : undefined,
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

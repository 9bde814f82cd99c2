/** Who the host's kernel knows on its links: MAC addresses by the neighbour's address, as `ip neigh` has them. */
import type { System } from '../sys/system.ts';
import { SystemCallError } from '../sys/system-call-error.ts';
import { type Address, addressFromV4, isV4 } from '../wire/address.ts';
import { MAC, type MacAddress, sameMac } from '../wire/ethernet.ts';
import { attribute, type Message, Netlink, withAttribute } from './netlink.ts';

/* include/uapi/linux/rtnetlink.h and neighbour.h */
const RTM_NEWNEIGH = 28;
const RTM_GETNEIGH = 30;
const NLM_F_REPLACE = 0x100;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const AF_INET = 2;
const AF_INET6 = 10;
/** As if a packet of the kernel's own had gone there. */
const NTF_USE = 0x01;
/** Known, but not confirmed for a while. */
const NUD_STALE = 0x04;
/** REACHABLE, STALE, DELAY, PROBE, PERMANENT: the entry's MAC address is used. */
const USABLE = 0x02 | NUD_STALE | 0x08 | 0x10 | 0x80;

/** struct ndmsg. */
const NEIGHBOUR = { family: 0, interfaceIndex: 4, state: 8, flags: 10, size: 12 } as const;

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
  /** Those that were asked for since the last `confirm`. */
  readonly #used = new Set<string>();

  /** Throws SystemCallError. */
  constructor(system: System) {
    this.#netlink = new Netlink(system);
  }

  /** Undefined: not known (yet). What is returned is the same as long as the neighbour's MAC address is. */
  mac(address: Address, interfaceIndex: number): MacAddress | undefined {
    const key = keyOf(address, interfaceIndex);
    this.#used.add(key);
    return this.#known.get(key)?.mac;
  }

  /** Reads what the kernel knows now. When it cannot tell (out of memory), what was known stays. */
  refresh(): void {
    const known = new Map<string, Known>();
    try {
      this.#netlink.dump(RTM_GETNEIGH, new Uint8Array(NEIGHBOUR.size), (message) => {
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

  /** Makes the kernel ask those in use whose entries are old whether they are still there, as its own packets would. */
  confirm(): void {
    for (const key of this.#used) {
      const known = this.#known.get(key);
      if (known?.isStale) this.#use(known);
    }
    this.#used.clear();
  }

  #use({ address, interfaceIndex }: Known): void {
    const octets = octetsOf(address);
    const body = new Uint8Array(NEIGHBOUR.size);
    const view = new DataView(body.buffer);
    view.setUint8(NEIGHBOUR.family, octets.length === 4 ? AF_INET : AF_INET6);
    view.setInt32(NEIGHBOUR.interfaceIndex, interfaceIndex, true);
    view.setUint8(NEIGHBOUR.flags, NTF_USE);
    try {
      this.#netlink.tell(RTM_NEWNEIGH, NLM_F_REPLACE, Buffer.concat([body, withAttribute(NDA_DST, octets)]));
    } catch (error) {
      // Gone meanwhile: the next reading tells.
      if (!(error instanceof SystemCallError)) throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#netlink[Symbol.dispose]();
  }
}

/** An entry with a MAC address that is in use. */
function read(message: Message): Known | undefined {
  const state = message.getUint16(NEIGHBOUR.state, true);
  const address = attribute(message, NEIGHBOUR.size, NDA_DST);
  const mac = attribute(message, NEIGHBOUR.size, NDA_LLADDR);
  if ((state & USABLE) === 0 || !address || mac?.length !== MAC) return undefined;
  return {
    address: addressOf(address),
    interfaceIndex: message.getInt32(NEIGHBOUR.interfaceIndex, true),
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

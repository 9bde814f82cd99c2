/** What is done with the packets of flows: written once for all flows that have it in common, and counted. */
import { NONE } from '../model/connection.ts';
import type { Block } from '../sys/memory.ts';
import { type Address, formatAddress, isV4 } from '../wire/address.ts';
import { change16, changeAddress, fold } from '../wire/checksum.ts';
import { formatMac, MAC, type MacAddress } from '../wire/ethernet.ts';
import { MIN_MTU6 } from '../wire/ipv6.ts';
import {
  ACTION,
  ACTION_ADDRESS,
  ACTION_ADDRESS_CHANGE,
  ACTION_HEADER_CHANGE,
  ACTION_INTERFACE,
  ACTION_KIND,
  ACTION_MACS,
  ACTION_MTU,
  ACTION_PORT,
  ACTION_PORT_CHANGE,
  ACTION_SOURCE,
  ACTION_TRANSPORT_CHANGE,
  ACTION_VLAN,
  KINDS,
} from './layout.ts';

/** The next hop towards an address, with its layer 2 addresses. */
export interface NextHop {
  readonly interfaceIndex: number;
  /** MAC addresses of the neighbor and of the interface. */
  readonly to: MacAddress;
  readonly from: MacAddress;
  /** Tag that the frames get, 1..4094; 0: none. XDP only. */
  readonly vlan: number;
  /** Octets. */
  readonly mtu: number;
}

/** Readdressing: what a packet's address and port are, and what they become. */
export interface Translation {
  readonly address: Address;
  readonly port: number;
  readonly newAddress: Address;
  readonly newPort: number;
}

export type Action =
  | { readonly kind: 'route'; readonly hop: NextHop }
  | { readonly kind: 'toDestination' | 'toClient'; readonly hop: NextHop; readonly translation: Translation }
  | {
      readonly kind: 'tunnel4' | 'tunnel6';
      readonly hop: NextHop;
      /** Both ends of the tunnel. */
      readonly source: Address;
      readonly address: Address;
    };

/* Octets of outer headers (RFC 791, RFC 8200). */
const OVERHEAD = { tunnel4: 20, tunnel6: 40 } as const;
/** An outer IPv4 header's words that are the same for all packets: version and length, DF, protocol 4 (IP in IP). */
const OUTER_WORDS = 0x4500 + 0x4000 + 4;
/** TTL less one, the upper octet of its word: ~m + m' for any m. */
const TTL_CHANGE = 0xfeff;

const swap16 = (word: number): number => ((word & 0xff) << 8) | (word >> 8);

export class ActionTable {
  readonly capacity: number;
  readonly #memory: Block;
  readonly #words: Uint32Array<ArrayBuffer>;
  readonly #indices = new Map<string, number>();
  readonly #keys: (string | undefined)[] = [];
  /** As they were held last: known again without making a key. */
  readonly #made: (Action | undefined)[] = [undefined];
  readonly #holders: number[] = [];
  readonly #free: number[] = [];
  #retired: number[] = [];

  /** `memory`: ACTION octets for each, zeros. Number 0 is never given: it is withdrawn for good. */
  constructor(memory: Block, capacity: number) {
    this.capacity = capacity;
    this.#memory = memory;
    this.#words = new Uint32Array(memory.bytes.buffer, memory.bytes.byteOffset, (capacity * ACTION) / 4);
    this.#keys.push(undefined);
    this.#holders.push(0);
  }

  /** Actions in use. */
  get size(): number {
    return this.#indices.size;
  }

  /** The number of that action, held once more; NONE: there is no room. */
  hold(action: Action): number {
    const key = keyOf(action);
    const known = this.#indices.get(key);
    if (known !== undefined) {
      this.#holders[known]!++;
      this.#made[known] = action;
      return known;
    }
    const index = this.#free.pop() ?? this.#keys.length;
    if (index >= this.capacity) return NONE;
    this.#write(index, action);
    this.#indices.set(key, index);
    this.#keys[index] = key;
    this.#made[index] = action;
    this.#holders[index] = 1;
    return index;
  }

  /** Holds it once more, where that very action is in force under this number; false: `hold` it. */
  holdAgain(index: number, action: Action): boolean {
    if (this.#made[index] !== action) return false;
    this.#holders[index]!++;
    return true;
  }

  /** The flow that held it no longer names it; true: nor does any other. */
  release(index: number): boolean {
    if (--this.#holders[index]! > 0) return false;
    this.#forget(index);
    this.#retired.push(index);
    return true;
  }

  /** Its packets go up to the director from now on; a `hold` of the same makes a new one. */
  withdraw(index: number): void {
    this.#forget(index);
    Atomics.store(this.#words, (index * ACTION + ACTION_KIND) / 4, KINDS.withdrawn);
  }

  /** Returns the actions that no slot names any more, as FlowTable does: to be freed after a grace period. */
  takeRetired(): number[] {
    const retired = this.#retired;
    this.#retired = [];
    return retired;
  }

  free(indices: readonly number[]): void {
    this.#free.push(...indices);
  }

  #forget(index: number): void {
    const key = this.#keys[index];
    if (key !== undefined) this.#indices.delete(key);
    this.#keys[index] = undefined;
    this.#made[index] = undefined;
  }

  /** Into memory that no program reads: the slots that name it are published afterwards. */
  #write(index: number, action: Action): void {
    const { bytes, view } = this.#memory;
    const at = index * ACTION;
    const { hop, kind } = action;
    bytes.fill(0, at, at + ACTION);
    view.setUint32(at + ACTION_INTERFACE, hop.interfaceIndex, true);
    bytes.set(hop.to, at + ACTION_MACS);
    bytes.set(hop.from, at + ACTION_MACS + MAC);
    view.setUint16(at + ACTION_VLAN, hop.vlan);
    const overhead = kind === 'tunnel4' || kind === 'tunnel6' ? OVERHEAD[kind] : 0;
    const fits = hop.mtu - overhead;
    // What the director uses for no tunnel: every packet is too long, and goes to it.
    const isTooNarrow = kind === 'tunnel6' && fits < MIN_MTU6;
    view.setUint16(at + ACTION_MTU, isTooNarrow ? 0 : Math.min(0xffff, fits), true);
    switch (action.kind) {
      case 'route':
        break;
      case 'toDestination':
      case 'toClient':
        this.#writeTranslation(at, action.translation);
        break;
      case 'tunnel4':
      case 'tunnel6':
        this.#writeAddress(at + ACTION_ADDRESS, action.address);
        this.#writeAddress(at + ACTION_SOURCE, action.source);
        if (kind === 'tunnel4')
          this.#writeSum(at + ACTION_HEADER_CHANGE, outerSum(action.source, action.address));
        break;
      default:
        action satisfies never;
    }
    Atomics.store(this.#words, (at + ACTION_KIND) / 4, KINDS[kind]);
  }

  #writeTranslation(at: number, { address, port, newAddress, newPort }: Translation): void {
    const { view } = this.#memory;
    const ofAddress = changeAddress(address, newAddress);
    const ofPort = change16(port, newPort);
    this.#writeAddress(at + ACTION_ADDRESS, newAddress);
    view.setUint16(at + ACTION_PORT, newPort);
    this.#writeSum(at + ACTION_HEADER_CHANGE, ofAddress + TTL_CHANGE);
    this.#writeSum(at + ACTION_TRANSPORT_CHANGE, ofAddress + ofPort);
    this.#writeSum(at + ACTION_ADDRESS_CHANGE, ofAddress);
    this.#writeSum(at + ACTION_PORT_CHANGE, ofPort);
  }

  #writeAddress(at: number, address: Address): void {
    const { view } = this.#memory;
    if (isV4(address)) view.setUint32(at, address[3]!);
    else for (let i = 0; i < 4; i++) view.setUint32(at + 4 * i, address[i]!);
  }

  /** A sum of words of packets, so that a little-endian machine adds it to words as it reads them (RFC 1071 section 2). */
  #writeSum(at: number, total: number): void {
    this.#memory.view.setUint16(at, swap16(fold(total)), true);
  }
}

const outerSum = (source: Address, address: Address): number => {
  const words = (word: number) => (word >>> 16) + (word & 0xffff);
  return OUTER_WORDS + words(source[3]!) + words(address[3]!);
};

function keyOf(action: Action): string {
  const { kind, hop } = action;
  const layer2 = `${kind} ${hop.interfaceIndex} ${formatMac(hop.to)} ${formatMac(hop.from)} ${hop.vlan} ${hop.mtu}`;
  if ('translation' in action) {
    const { address, port, newAddress, newPort } = action.translation;
    return `${layer2} ${formatAddress(address)} ${port} ${formatAddress(newAddress)} ${newPort}`;
  }
  if ('source' in action) return `${layer2} ${formatAddress(action.source)} ${formatAddress(action.address)}`;
  return layer2;
}

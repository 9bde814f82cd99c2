/** The records of next hops, which rows and destinations name by number. */
import type { TableMemory } from '../table/memory.ts';
import { inPacketOrder, portInPacketOrder } from '../table/packet-order.ts';
import { MAX_RECORDS, NEXT_HOP, NEXT_HOP_BYTES } from '../table/record-layout.ts';
import { Records } from '../table/records.ts';
import type { Address } from '../wire/address.ts';
import { sameAddress } from '../wire/address.ts';
import { MAC, type MacAddress, sameMac } from '../wire/ethernet.ts';
import { mix } from '../wire/hash.ts';

/** What it takes to send a packet to a next hop, down to layer 2. */
export interface NextHop {
  readonly interfaceIndex: number;
  /** MAC addresses of the neighbor and of the interface. */
  readonly to: MacAddress;
  readonly from: MacAddress;
  /** Tag that the frames get, 1 to 4094; 0: none. XDP only. */
  readonly vlan: number;
  /** Bytes. */
  readonly mtu: number;
  /** This host's address towards it, the source of tunnels. */
  readonly source: Address;
  /** The address that it was found for is a neighbor itself, not behind a gateway. */
  readonly isNeighbor?: boolean;
}

/** Returns the next hop of packets to an address; undefined: not known (yet). */
export type FindNextHop = (to: Address) => NextHop | undefined;

export class NextHops {
  readonly #records: Records;
  /** Numbers in use, by a hash of what they stand for. */
  readonly #numbers = new Map<number, number[]>();
  #size = 0;
  /** By number: what was written, and an address that packets by it are sent to. */
  readonly #hops: ({ readonly hop: NextHop; readonly to: Address } | undefined)[] = [undefined];
  readonly #free: number[] = [];
  /** Numbers that rows may still name; those of `#leaving` were cleared from all rows. */
  #withdrawn = new Set<number>();
  #leaving: ReadonlySet<number> = new Set();

  constructor(memory: TableMemory) {
    this.#records = new Records(memory, 'nextHops', NEXT_HOP_BYTES);
  }

  /**
   * Takes over the next hops that another process has left. `userOf` returns an address that packets by it are sent to;
   * undefined: none is known, and the next hop is withdrawn.
   */
  adopt(userOf: (number: number) => Address | undefined): void {
    const records = this.#records;
    records.reserveAll();
    for (let number = 1; number < MAX_RECORDS; number++) {
      const isUsable = records.word(number, NEXT_HOP.interface) !== 0;
      const to = userOf(number);
      if (!isUsable && to === undefined) continue;
      while (this.#hops.length <= number) this.#hops.push(undefined);
      const hop = this.#read(number);
      if (isUsable && to !== undefined) this.#enter(number, hop, to);
      else {
        records.setWord(number, NEXT_HOP.interface, 0);
        this.#withdrawn.add(number);
      }
    }
    for (let number = this.#hops.length - 1; number > 0; number--)
      if (this.#hops[number] === undefined && !this.#withdrawn.has(number)) this.#free.push(number);
  }

  /** Shows the numbers in use, each with an address that packets by it are sent to. */
  each(visit: (number: number, to: Address, hop: NextHop) => void): void {
    for (const [number, known] of this.#hops.entries()) if (known) visit(number, known.to, known.hop);
  }

  /** Numbers in use. */
  get size(): number {
    return this.#size;
  }

  /** Returns the number of that next hop, which packets to `to` take; 0 if all numbers are in use. */
  numberOf(hop: NextHop, to: Address): number {
    const alike = this.#numbers.get(hashOf(hop));
    if (alike) for (const number of alike) if (isSame(this.#hops[number]!.hop, hop)) return number;
    const number = this.#free.pop() ?? this.#hops.length;
    if (number >= MAX_RECORDS) return 0;
    this.#write(number, hop);
    this.#enter(number, hop, to.slice());
    return number;
  }

  #enter(number: number, hop: NextHop, to: Address): void {
    const hash = hashOf(hop);
    const alike = this.#numbers.get(hash);
    if (alike) alike.push(number);
    else this.#numbers.set(hash, [number]);
    this.#size++;
    this.#hops[number] = { hop, to };
  }

  /** Returns the bytes of the longest IP packet by that next hop; 0: it is unusable. */
  mtuOf(number: number): number {
    if (this.#hops[number] === undefined) return 0;
    return this.#records.half(number, NEXT_HOP.mtu);
  }

  /**
   * Withdraws next hops that `find` no longer returns: packets to them go up to the director at once. Reports whether there
   * were any.
   */
  check(find: FindNextHop): boolean {
    const { size } = this.#withdrawn;
    for (const number of [...this.#numbers.values()].flat()) {
      const { hop, to } = this.#hops[number]!;
      const now = find(to);
      if (now === undefined || !isSame(hop, now)) this.#withdraw(number);
    }
    return this.#withdrawn.size > size;
  }

  /** Withdraws all. */
  withdrawAll(): void {
    for (const number of [...this.#numbers.values()].flat()) this.#withdraw(number);
  }

  /**
   * Makes withdrawn numbers usable again. `clear` clears them from all rows, destinations and clients. Programs that read a number
   * before that may still use it, so it is free at the next call, which has to be 100 ms later at least.
   */
  reclaim(clear: (numbers: ReadonlySet<number>) => void): void {
    this.#free.push(...this.#leaving);
    this.#leaving = this.#withdrawn;
    this.#withdrawn = new Set();
    if (this.#leaving.size > 0) clear(this.#leaving);
  }

  #withdraw(number: number): void {
    const hash = hashOf(this.#hops[number]!.hop);
    const left = this.#numbers.get(hash)!.filter((other) => other !== number);
    if (left.length > 0) this.#numbers.set(hash, left);
    else this.#numbers.delete(hash);
    this.#size--;
    this.#hops[number] = undefined;
    this.#records.setWord(number, NEXT_HOP.interface, 0);
    this.#withdrawn.add(number);
  }

  #read(number: number): NextHop {
    const records = this.#records;
    const bytes = (field: number) => {
      const first = number * NEXT_HOP_BYTES + field;
      return records.bytes.slice(first, first + MAC);
    };
    return {
      interfaceIndex: records.word(number, NEXT_HOP.interface),
      to: bytes(NEXT_HOP.to),
      from: bytes(NEXT_HOP.from),
      vlan: portInPacketOrder(records.half(number, NEXT_HOP.vlan)),
      mtu: records.half(number, NEXT_HOP.mtu),
      source: Uint32Array.from({ length: 4 }, (_, i) =>
        inPacketOrder(records.word(number, NEXT_HOP.source + 4 * i)),
      ),
    };
  }

  #write(number: number, { interfaceIndex, to, from, vlan, mtu, source }: NextHop): void {
    const records = this.#records;
    records.reserve(number);
    records.clear(number);
    records.setHalf(number, NEXT_HOP.mtu, Math.min(mtu, 0xffff));
    records.setHalf(number, NEXT_HOP.vlan, portInPacketOrder(vlan));
    for (let i = 0; i < MAC; i += 2) {
      records.setHalf(number, NEXT_HOP.to + i, to[i]! | (to[i + 1]! << 8));
      records.setHalf(number, NEXT_HOP.from + i, from[i]! | (from[i + 1]! << 8));
    }
    for (const [i, word] of source.entries())
      records.setWord(number, NEXT_HOP.source + 4 * i, inPacketOrder(word));
    records.addWord(number, NEXT_HOP.interface, interfaceIndex);
  }
}

/** Next hops behind one MAC address differ in their MTU: there are few. */
const hashOf = ({ interfaceIndex, to, mtu }: NextHop): number =>
  mix(
    mix(interfaceIndex ^ (mtu << 16) ^ ((to[0]! << 8) | to[1]!)) ^
      ((to[2]! << 24) | (to[3]! << 16) | (to[4]! << 8) | to[5]!),
  );

const isSame = (a: NextHop, b: NextHop): boolean =>
  a === b ||
  (a.interfaceIndex === b.interfaceIndex &&
    a.vlan === b.vlan &&
    a.mtu === b.mtu &&
    sameMac(a.to, 0, b.to) &&
    sameMac(a.from, 0, b.from) &&
    sameAddress(a.source, b.source));

/** The flow tables of both IP versions as one: slots of IPv6 are numbered after those of IPv4. */
import { NONE } from '../model/connection.ts';
import { type Address, isV4 } from '../wire/address.ts';
import type { FlowTable } from './flow-table.ts';
import { PROBES } from './layout.ts';

export class Flows {
  /** Slots there are. */
  readonly places: number;
  readonly #four: FlowTable;
  readonly #six: FlowTable;
  /** The first slot of IPv6. */
  readonly #after: number;

  constructor(four: FlowTable, six: FlowTable) {
    this.#four = four;
    this.#six = six;
    this.#after = four.slots + PROBES - 1;
    this.places = this.#after + six.slots + PROBES - 1;
  }

  /** Slots in force. */
  get live(): number {
    return this.#four.live + this.#six.live;
  }

  /** See FlowTable. */
  insert(
    protocol: number,
    src: Address,
    srcPort: number,
    dst: Address,
    dstPort: number,
    action: number,
  ): number {
    if (isV4(src)) return this.#four.insert(protocol, src, srcPort, dst, dstPort, action);
    const slot = this.#six.insert(protocol, src, srcPort, dst, dstPort, action);
    return slot === NONE ? NONE : this.#after + slot;
  }

  find(protocol: number, src: Address, srcPort: number, dst: Address, dstPort: number): number {
    if (isV4(src)) return this.#four.find(protocol, src, srcPort, dst, dstPort);
    const slot = this.#six.find(protocol, src, srcPort, dst, dstPort);
    return slot === NONE ? NONE : this.#after + slot;
  }

  action(slot: number): number {
    return this.#of(slot).action(this.#within(slot));
  }

  setAction(slot: number, action: number): void {
    this.#of(slot).setAction(this.#within(slot), action);
  }

  remove(slot: number): void {
    this.#of(slot).remove(this.#within(slot));
  }

  takeRetired(): number[] {
    const six = this.#six.takeRetired().map((slot) => this.#after + slot);
    return [...this.#four.takeRetired(), ...six];
  }

  free(slots: readonly number[]): void {
    for (const slot of slots) this.#of(slot).free(this.#within(slot));
  }

  count(slot: number): boolean {
    return this.#of(slot).count(this.#within(slot));
  }

  /** What `count` found for that slot. */
  counted(slot: number): Float64Array {
    return this.#of(slot).counted;
  }

  #of(slot: number): FlowTable {
    return slot < this.#after ? this.#four : this.#six;
  }

  #within(slot: number): number {
    return slot < this.#after ? slot : slot - this.#after;
  }
}

/**
 * The flow table as the director writes it: slots in memory that programs on all processors read meanwhile. There is one
 * writer, this thread; programs write nothing but a live slot's counts.
 *
 * Why no program ever acts on half a slot, or on one flow's key with another flow's action:
 *
 * 1. Publication. A slot is filled while it is FREE, and its state is stored last, by Atomics.store (which orders what
 *    was stored before). A program compares ports and state as one aligned 64-bit word first; on machines that reorder
 *    loads it does so with acquire. Who sees the state live sees the whole slot as it was filled.
 * 2. A live slot changes in one place only, its action: one aligned 32-bit word, so a program sees the one or the other.
 * 3. Reclamation. A removed slot becomes DEAD, which no packet's state equals. A program may have found it live just
 *    before, and may be held up for as long as its processor is (a virtual one for many ms: a fixed delay was seen to
 *    fail). So it stays as it is until a grace period has passed, which begins after DEAD was stored: every program that
 *    can have seen it live has ended then. Only after that it becomes FREE, and may be filled again.
 * 4. Actions are held to the same rule. A slot names its action only while the action is held; one that is no longer
 *    held is not written before a grace period that begins after the last slot ceased to name it. So a program that
 *    read an action's number from a slot finds that action behind it.
 */
import { NONE } from '../model/connection.ts';
import type { Block } from '../sys/memory.ts';
import type { Address } from '../wire/address.ts';
import { DEAD, FREE, liveState, PACKET_SHIFT, PROBES, SLOTS, type SlotLayout } from './layout.ts';
import { mix } from './tuple-hash.ts';

/** Octets of a table whose hashes name so many slots (a power of two). */
export const flowTableOctets = (version: 4 | 6, slots: number): number =>
  (slots + PROBES - 1) * SLOTS[version].size;

/** A word as it stands in a packet, read by a little-endian machine. */
const swap = (word: number): number =>
  (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);

const portsWord = (srcPort: number, dstPort: number): number => swap((srcPort << 16) | dstPort);

/** The flows of one IP version. */
export class FlowTable {
  readonly version: 4 | 6;
  /** Slots that hashes name; there are PROBES - 1 more. */
  readonly slots: number;
  /** Slots in force. */
  live = 0;
  /** What `count` found, since it was asked before: packets, octets. */
  readonly counted = new Float64Array(2);
  readonly #layout: SlotLayout;
  /** Words of 32 bits in a slot. */
  readonly #size: number;
  readonly #words: Uint32Array<ArrayBuffer>;
  readonly #view: DataView<ArrayBuffer>;
  readonly #seed: number;
  readonly #lastCounts: Uint32Array;
  #retired: number[] = [];

  /** `memory`: `flowTableOctets(version, slots)` zeros. `seed`: 32 random bits, as the programs have them. */
  constructor(version: 4 | 6, memory: Block, slots: number, seed: number) {
    this.version = version;
    this.slots = slots;
    this.#layout = SLOTS[version];
    this.#size = this.#layout.size / 4;
    const { bytes } = memory;
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, (slots + PROBES - 1) * this.#size);
    this.#view = memory.view;
    this.#seed = seed;
    this.#lastCounts = new Uint32Array((slots + PROBES - 1) * 2);
  }

  /** Returns the slot; NONE: all possible slots are in use, or the flow already exists. */
  insert(
    protocol: number,
    src: Address,
    srcPort: number,
    dst: Address,
    dstPort: number,
    action: number,
  ): number {
    const state = liveState(this.version, protocol);
    const first = this.#hash(src, dst, portsWord(srcPort, dstPort)) & (this.slots - 1);
    let free = NONE;
    for (let slot = first; slot < first + PROBES; slot++) {
      const at = this.#stateOf(slot);
      if (at === FREE) {
        if (free === NONE) free = slot;
      } else if (at === state && this.#is(slot, src, srcPort, dst, dstPort)) return NONE;
    }
    if (free === NONE) return NONE;
    const layout = this.#layout;
    const octet = free * layout.size;
    const words = this.#words;
    this.#writeAddress(octet + layout.source, src);
    this.#writeAddress(octet + layout.destination, dst);
    this.#view.setUint16(octet + layout.ports, srcPort);
    this.#view.setUint16(octet + layout.ports + 2, dstPort);
    words[this.#word(free, layout.action)] = action;
    words[this.#word(free, layout.counts)] = 0;
    words[this.#word(free, layout.counts) + 1] = 0;
    this.#lastCounts[free * 2] = 0;
    this.#lastCounts[free * 2 + 1] = 0;
    Atomics.store(words, this.#word(free, layout.state), state);
    this.live++;
    return free;
  }

  /** The slot of a flow in force; NONE: there is none. */
  find(protocol: number, src: Address, srcPort: number, dst: Address, dstPort: number): number {
    const state = liveState(this.version, protocol);
    const first = this.#hash(src, dst, portsWord(srcPort, dstPort)) & (this.slots - 1);
    for (let slot = first; slot < first + PROBES; slot++)
      if (this.#stateOf(slot) === state && this.#is(slot, src, srcPort, dst, dstPort)) return slot;
    return NONE;
  }

  action(slot: number): number {
    return this.#words[this.#word(slot, this.#layout.action)]!;
  }

  /** From now on the flow's packets are dealt with by another action. */
  setAction(slot: number, action: number): void {
    Atomics.store(this.#words, this.#word(slot, this.#layout.action), action);
  }

  /** Takes the flow out of force at once. The slot is not used again before `free`. */
  remove(slot: number): void {
    Atomics.store(this.#words, this.#word(slot, this.#layout.state), DEAD);
    this.#retired.push(slot);
    this.live--;
  }

  /** Slots that were removed since the last call: after a grace period they are to be handed to `free`. */
  takeRetired(): number[] {
    const retired = this.#retired;
    this.#retired = [];
    return retired;
  }

  free(slot: number): void {
    Atomics.store(this.#words, this.#word(slot, this.#layout.state), FREE);
  }

  /** Sets `counted` to what the flow has had since it was asked about last; false: nothing. */
  count(slot: number): boolean {
    const words = this.#words;
    const at = this.#word(slot, this.#layout.counts);
    let high = Atomics.load(words, at + 1);
    let low = Atomics.load(words, at);
    // Both halves of one and the same moment.
    for (let again = Atomics.load(words, at + 1); again !== high; again = Atomics.load(words, at + 1)) {
      high = again;
      low = Atomics.load(words, at);
    }
    const last = this.#lastCounts;
    const lastLow = last[slot * 2]!;
    const lastHigh = last[slot * 2 + 1]!;
    if (low === lastLow && high === lastHigh) return false;
    last[slot * 2] = low;
    last[slot * 2 + 1] = high;
    const difference = (high - lastHigh - (low < lastLow ? 1 : 0)) >>> 0;
    const shift = PACKET_SHIFT - 32;
    this.counted[0] = difference >>> shift;
    this.counted[1] = (difference & ((1 << shift) - 1)) * 2 ** 32 + ((low - lastLow) >>> 0);
    return true;
  }

  #stateOf(slot: number): number {
    return this.#words[this.#word(slot, this.#layout.state)]!;
  }

  /** Number of the word at an offset in a slot. */
  #word(slot: number, offset: number): number {
    return slot * this.#size + (offset >> 2);
  }

  #is(slot: number, src: Address, srcPort: number, dst: Address, dstPort: number): boolean {
    const layout = this.#layout;
    const octet = slot * layout.size;
    const ports = this.#view.getUint32(octet + layout.ports);
    return (
      ports === ((srcPort << 16) | dstPort) >>> 0 &&
      this.#hasAddress(octet + layout.source, src) &&
      this.#hasAddress(octet + layout.destination, dst)
    );
  }

  #writeAddress(octet: number, address: Address): void {
    if (this.version === 4) this.#view.setUint32(octet, address[3]!);
    else for (let i = 0; i < 4; i++) this.#view.setUint32(octet + 4 * i, address[i]!);
  }

  #hasAddress(octet: number, address: Address): boolean {
    if (this.version === 4) return this.#view.getUint32(octet) === address[3];
    for (let i = 0; i < 4; i++) if (this.#view.getUint32(octet + 4 * i) !== address[i]) return false;
    return true;
  }

  /** As the program computes it: lookup.ts. */
  #hash(src: Address, dst: Address, ports: number): number {
    if (this.version === 4) return mix(mix(mix(this.#seed, swap(src[3]!)), ports), swap(dst[3]!));
    let hash = mix(this.#seed, ports);
    for (let i = 0; i < 4; i++) hash = mix(hash, swap(src[i]!));
    for (let i = 0; i < 4; i++) hash = mix(hash, swap(dst[i]!));
    return hash;
  }
}

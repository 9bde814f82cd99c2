/** What programs need to forward packets of the director's connections: next hops, held rows; and what they counted. */
import { setTimeout as sleep } from 'node:timers/promises';
import { MASQ } from '../director/connection-flags.ts';
import type { ConnectionTable } from '../director/connections.ts';
import { destinationOf } from '../director/core.ts';
import type { Director } from '../director/director.ts';
import type { KernelPath } from '../director/kernel-path.ts';
import type { RealDestination } from '../director/service.ts';
import type { Row } from '../model/connection.ts';
import { IN_PACKETS, OUT_PACKETS } from '../model/counters.ts';
import { Slice } from '../model/slice.ts';
import type { FindNextHop, NextHops } from '../offload/next-hops.ts';
import type { ProcessorCounters } from '../table/counters.ts';
import type { TableMemory } from '../table/memory.ts';
import { DESTINATION } from '../table/record-layout.ts';
import type { Ticks } from '../table/ticks.ts';

/** Places of the connection table that are read without a pause. */
const PLACES_PER_PORTION = 16_384;
/** Time after which programs no longer use a next hop that they read before it was cleared, ms. */
const RECLAIM_MS = 100;

/** What the director and programs share. */
export interface SharedTable {
  readonly memory: TableMemory;
  readonly ticks: Ticks;
  readonly table: ConnectionTable;
  readonly counters: ProcessorCounters;
  readonly nextHops: NextHops;
  /** Destinations that programs forward packets to have smaller numbers. */
  readonly records: number;
}

export class KernelForwarding implements KernelPath {
  /** Packets that programs forwarded, as of the last `collect`. */
  forwarded = 0;
  readonly #core: Director['context'];
  readonly #shared: SharedTable;
  readonly #find: FindNextHop;
  /** Rows and destinations may still name next hops that were withdrawn before the last check. */
  #isClearing = false;

  /** `director` must have been made with the shared table. */
  constructor(director: Director, shared: SharedTable, find: FindNextHop) {
    this.#core = director.context;
    this.#shared = shared;
    this.#find = find;
    director.context.kernelPath.attach(this);
  }

  learn(row: Row): void {
    const { table } = this.#core;
    table.setHeld(row, false);
    if (this.#isBackup) return;
    const { nextHops } = this.#shared;
    const destination = destinationOf(this.#core, row);
    const { address, index } = destination;
    if (this.#nextHopOf(destination) === 0 && this.#suits(destination)) {
      const hop = this.#find(address);
      if (hop) table.records.setHalf(index, DESTINATION.nextHop, nextHops.numberOf(hop, address));
    }
    if (table.isTemplate(row) || table.method(row) !== MASQ || table.nextHop(row) !== 0) return;
    const { caddr } = table.select(row);
    const hop = this.#find(caddr);
    if (hop) table.setNextHop(row, nextHops.numberOf(hop, caddr));
  }

  hold(row: Row): void {
    this.#core.table.setHeld(row, true);
  }

  collect(destination: number): void {
    this.#shared.counters.collect(destination, this.#add);
  }

  readonly #add = (number: number, gained: Float64Array): void => {
    const { destinations, total } = this.#core;
    this.forwarded += gained[IN_PACKETS]! + gained[OUT_PACKETS]!;
    const destination = destinations.all[number];
    if (!destination) return;
    for (const its of [destination.counters, destination.service.counters, total.counters])
      for (const [i, count] of gained.entries()) its[i]! += count;
  };

  /**
   * Withdraws next hops that are no longer right; all if routes have changed, since packets to one gateway may have to be sent
   * to several then. To be called every 100 ms at most.
   */
  check(haveRoutesChanged: boolean): void {
    const { nextHops } = this.#shared;
    if (haveRoutesChanged) nextHops.withdrawAll();
    else nextHops.check(this.#find);
    if (this.#isClearing) return;
    nextHops.reclaim((numbers) => {
      this.#isClearing = true;
      void this.#clear(numbers)
        .then(() => sleep(RECLAIM_MS, undefined, { ref: false }))
        .finally(() => {
          this.#isClearing = false;
        });
    });
  }

  /** Takes packets back that rules and settings no longer let programs forward. Works in slices. */
  async review(): Promise<void> {
    const { destinations, table } = this.#core;
    if (this.#isBackup) this.#shared.nextHops.withdrawAll();
    const slice = new Slice();
    for (const destination of destinations.all) {
      if (destination && !this.#suits(destination))
        table.records.setHalf(destination.index, DESTINATION.nextHop, 0);
      if (slice.spent) await slice.next();
    }
  }

  /** A backup that must not forward (backup_only). */
  get #isBackup(): boolean {
    const { isBackup, settings } = this.#core;
    return isBackup && settings.backup_only !== 0;
  }

  /** Reports whether programs may forward to it: with pmtu_disc 0 packets in tunnels may have to be fragmented. */
  #suits({ method, index }: RealDestination): boolean {
    const mayFragment = method === 'tunnel' && this.#core.settings.pmtu_disc === 0;
    return index < this.#shared.records && !mayFragment;
  }

  #nextHopOf({ index }: RealDestination): number {
    return this.#core.table.records.half(index, DESTINATION.nextHop);
  }

  /** Makes next hops unknown to the rows and destinations that name them. Works in slices. */
  async #clear(numbers: ReadonlySet<number>): Promise<void> {
    const { destinations, table } = this.#core;
    const slice = new Slice();
    for (const destination of destinations.all) {
      if (destination && numbers.has(this.#nextHopOf(destination)))
        table.records.setHalf(destination.index, DESTINATION.nextHop, 0);
      if (slice.spent) await slice.next();
    }
    for (let from = 0; from < table.places; from += PLACES_PER_PORTION) {
      table.clearNextHops(numbers, from, from + PLACES_PER_PORTION);
      if (slice.spent) await slice.next();
    }
  }
}

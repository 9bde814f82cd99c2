/** What programs need to forward packets of the director's connections: next hops, held rows; and what they counted. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectionTable } from '../../director/connections.ts';
import { destinationOf } from '../../director/core.ts';
import type { Director } from '../../director/director.ts';
import { catchUp } from '../../director/estimator.ts';
import type { KernelPath } from '../../director/kernel-path.ts';
import type { RealDestination, Service } from '../../director/service.ts';
import { tunnelOverhead } from '../../forwarding/tunnel.ts';
import type { Row } from '../../model/connection.ts';
import { CONNECTIONS, type Counters, IN_PACKETS, OUT_OCTETS, OUT_PACKETS } from '../../model/counters.ts';
import type { Admission, UpcallCounts, UpcallReason } from '../../model/kernel-admission.ts';
import { Slice } from '../../model/slice.ts';
import type { ClientRoutes } from '../../offload/client-routes.ts';
import type { FindNextHop, NextHops } from '../../offload/next-hops.ts';
import { DENIED, EXPIRED, type ProcessorCounters, REUSED, SHED, TEMPLATED } from '../../table/counters.ts';
import type { TableMemory } from '../../table/memory.ts';
import { DESTINATION } from '../../table/record-layout.ts';
import type { Ticks } from '../../table/ticks.ts';
import { isV4 } from '../../wire/address.ts';
import { MIN_MTU6 } from '../../wire/ipv6.ts';
import { everyProgram, KernelAdmissions, type LoadedPrograms } from './kernel-admissions.ts';

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
  readonly clients: ClientRoutes;
  /** Destinations that programs forward packets to have smaller numbers. */
  readonly records: number;
}

/** Number of the record that counts what belongs to no destination. */
const NO_DESTINATION = 0;
/** Bytes of the longest IP packet. */
const MAX_LENGTH = 0xffff;

export class KernelForwarding implements KernelPath {
  /** Packets that programs forwarded, and connections that they made, as of the last `collect`. */
  forwarded = 0;
  admittedByPrograms = 0;
  readonly #core: Director['context'];
  readonly #shared: SharedTable;
  readonly #find: FindNextHop;
  /** Rows and destinations may still name next hops that were withdrawn before the last check. */
  #isClearing = false;
  /** Next hops of destinations are not known yet. */
  #isUnresolved = true;
  /** Changes of path MTUs that the next hops of destinations follow. */
  #pathChanges = 0;

  readonly #admissions: KernelAdmissions;

  /** `director` must have been made with the shared table. */
  constructor(
    director: Director,
    shared: SharedTable,
    find: FindNextHop,
    programs: LoadedPrograms = everyProgram,
  ) {
    this.#core = director.context;
    this.#admissions = new KernelAdmissions(this.#core, programs);
    this.#shared = shared;
    this.#find = find;
    director.context.kernelPath.attach(this);
  }

  learn(row: Row): void {
    const { table } = this.#core;
    table.setHeld(row, false);
    if (this.#isBackup) return;
    const { nextHops, clients } = this.#shared;
    const destination = destinationOf(this.#core, row);
    const { available, service } = destination;
    if (this.#mtuTo(destination) === 0 && this.#resolve(destination) && available) this.#assess(service);
    if (table.isTemplate(row) || nextHops.mtuOf(table.nextHop(row)) !== 0) return;
    const { caddr } = table.select(row);
    const known = clients.neighborHop(caddr);
    if (nextHops.mtuOf(known) !== 0) {
      table.setNextHop(row, known);
      return;
    }
    const hop = this.#find(caddr);
    if (!hop) return;
    const number = nextHops.numberOf(hop, caddr);
    table.setNextHop(row, number);
    if (hop.isNeighbor && number !== 0) clients.learn(caddr, hop.interfaceIndex, number);
  }

  /** Connections that the director admitted, by reason. */
  get leftToDirector(): UpcallCounts {
    return this.#admissions.left;
  }

  admission(service: Service): Admission {
    return this.#admissions.of(service);
  }

  admitted(service: Service, isFirst: boolean): void {
    this.#admissions.count(service, isFirst);
  }

  hold(row: Row): void {
    this.#core.table.setHeld(row, true);
  }

  collect(destination: number): void {
    this.#shared.counters.collect(destination, this.#add);
  }

  /** Makes the neighbors known that a killed director knew. */
  resumeClients(): void {
    const { nextHops, clients } = this.#shared;
    nextHops.each((number, to) => {
      const hop = this.#find(to);
      if (hop?.isNeighbor) clients.learn(to, hop.interfaceIndex, number);
    });
  }

  /**
   * Begins with what a former director and its programs have counted. `silent`: ms since that director was alive, in which
   * no rate was read.
   */
  resumeCounters(silent: number): void {
    const { destinations, meters } = this.#core;
    for (const destination of destinations.all) {
      if (!destination) continue;
      if (meters.outlive(destination.index)) this.collect(destination.index);
      // Its service's meter, and that of all, contain these.
      else
        this.#shared.counters.collect(destination.index, (_number, gained) =>
          addTo(destination.counters, gained),
        );
    }
    catchUp(this.#core, silent);
  }

  readonly #add = (number: number, gained: Float64Array): void => {
    const { destinations, total, counts, drops } = this.#core;
    this.forwarded += gained[IN_PACKETS]! + gained[OUT_PACKETS]!;
    const admitted = gained[CONNECTIONS]!;
    this.admittedByPrograms += admitted;
    counts.admitted += admitted;
    const templated = number === NO_DESTINATION ? 0 : gained[TEMPLATED]!;
    counts.templated += templated;
    counts.scheduled += admitted - templated;
    counts.reused += gained[REUSED]!;
    if (number === NO_DESTINATION) {
      drops['new-connection-rate'] += gained[SHED]!;
      drops.denied += gained[DENIED]!;
    } else counts.expired += gained[EXPIRED]!;
    const destination = destinations.all[number];
    if (!destination) return;
    for (const its of [destination.counters, destination.service.counters, total.counters])
      addTo(its, gained);
  };

  /**
   * Withdraws next hops that are no longer right; all if routes have changed, since packets to one gateway may have to be sent
   * to several then. To be called every 100 ms at most.
   */
  check(haveRoutesChanged: boolean): void {
    const { nextHops, clients } = this.#shared;
    let isWithdrawn = haveRoutesChanged;
    if (haveRoutesChanged) nextHops.withdrawAll();
    else isWithdrawn = nextHops.check(this.#find);
    this.collect(NO_DESTINATION);
    const { pathChanges = 0 } = this.#core.forwarding.host;
    if (pathChanges !== this.#pathChanges) {
      this.#pathChanges = pathChanges;
      void this.#followPaths();
    } else if (isWithdrawn || this.#isUnresolved) void this.#assessAll();
    if (this.#isClearing) return;
    nextHops.reclaim((numbers) => {
      this.#isClearing = true;
      clients.clear(numbers);
      void this.#clear(numbers).finally(() => {
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
    await this.#assessAll();
  }

  /**
   * Finds the next hops of destinations whose path MTU has changed: others behind the same router keep theirs. Works in
   * slices.
   */
  async #followPaths(): Promise<void> {
    const slice = new Slice();
    for (const destination of this.#core.destinations.all) {
      const mtu = destination ? this.#mtuTo(destination) : 0;
      const hop = mtu === 0 ? undefined : this.#find(destination!.address);
      if (hop && hop.mtu !== mtu) this.#resolve(destination!);
      if (slice.spent) await slice.next();
    }
    await this.#assessAll();
  }

  /** Finds out for all services what `#assess` does. Works in slices. */
  async #assessAll(): Promise<void> {
    this.#isUnresolved = false;
    const slice = new Slice();
    for (const service of this.#core.services.all) {
      this.#assess(service);
      if (slice.spent) await slice.next();
    }
  }

  /** Finds out which first packets programs can forward to each destination that may be selected. */
  #assess(service: Service): void {
    let longest = MAX_LENGTH;
    let isBypassed = true;
    let obstacle: UpcallReason | undefined = 'no-destination';
    for (const destination of service.destinations) {
      // A template may select a destination without weight, too.
      if (destination.method === 'nat') isBypassed = false;
      if (destination.weight === 0) continue;
      if (obstacle === 'no-destination') obstacle = undefined;
      const its = this.#longestTo(destination);
      if (its <= 0) obstacle ??= this.#obstacleTo(destination);
      longest = Math.min(longest, its);
    }
    service.setForwardable({ longest: obstacle === undefined ? longest : 0, isBypassed });
    this.#admissions.note(service, obstacle);
  }

  /** Returns the bytes of the longest packet that programs forward to the destination; 0: none. */
  #longestTo(destination: RealDestination): number {
    const { method, tunnel, address } = destination;
    if (!this.#suits(destination) || this.#isBackup) return 0;
    if (this.#mtuTo(destination) === 0 && !this.#resolve(destination)) {
      this.#isUnresolved = true;
      return 0;
    }
    const mtu = this.#mtuTo(destination);
    if (method !== 'tunnel') return mtu;
    const outer = isV4(address) ? 4 : 6;
    const fits = mtu - tunnelOverhead(tunnel, outer);
    return outer === 6 && fits < MIN_MTU6 ? 0 : fits;
  }

  /** Returns why programs forward no first packet to the destination. */
  #obstacleTo({ method }: RealDestination): UpcallReason {
    return method === 'tunnel' && this.#core.settings.pmtu_disc === 0 ? 'fragments' : 'next-hop';
  }

  /** Finds the next hop of a destination. Reports whether it is known. */
  #resolve(destination: RealDestination): boolean {
    if (!this.#suits(destination)) return false;
    const { address, index } = destination;
    const hop = this.#find(address);
    const number = hop ? this.#shared.nextHops.numberOf(hop, address) : 0;
    this.#core.table.records.setHalf(index, DESTINATION.nextHop, number);
    return number !== 0;
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

  /** Returns the bytes of the longest packet by the destination's next hop; 0: none is known. */
  #mtuTo(destination: RealDestination): number {
    return this.#shared.nextHops.mtuOf(this.#nextHopOf(destination));
  }

  #nextHopOf({ index }: RealDestination): number {
    return this.#core.table.records.half(index, DESTINATION.nextHop);
  }

  /**
   * Makes next hops unknown to the destinations that name them, and then, when programs do not use what they have read of
   * destinations and clients any more, to rows. Works in slices.
   */
  async #clear(numbers: ReadonlySet<number>): Promise<void> {
    const { destinations, table } = this.#core;
    const slice = new Slice();
    for (const destination of destinations.all) {
      if (destination && numbers.has(this.#nextHopOf(destination)))
        table.records.setHalf(destination.index, DESTINATION.nextHop, 0);
      if (slice.spent) await slice.next();
    }
    await sleep(RECLAIM_MS, undefined, { ref: false });
    for (let from = 0; from < table.places; from += PLACES_PER_PORTION) {
      table.clearNextHops(numbers, from, from + PLACES_PER_PORTION);
      if (slice.spent) await slice.next();
    }
    await sleep(RECLAIM_MS, undefined, { ref: false });
  }
}

function addTo(counters: Counters, gained: Float64Array): void {
  for (let i = CONNECTIONS; i <= OUT_OCTETS; i++) counters[i]! += gained[i]!;
}

/** The offload: connections of the director as flows of the kernel's program, and what became of them. */
import type { FlowOffload, FlowReport } from '../forwarding/offload.ts';
import { type Connection, NONE, type Row } from '../model/connection.ts';
import { type Address, isV4, sameAddress } from '../wire/address.ts';
import { sameMac } from '../wire/ethernet.ts';
import type { Action, ActionTable, NextHop } from './actions.ts';
import type { Flows } from './flows.ts';

/** A way with the host's own address on it, which tunnels are spoken from. */
export interface Way extends NextHop {
  readonly source: Address;
}

export interface KernelOffloadOptions {
  readonly flows: Flows;
  readonly actions: ActionTable;
  /** Waits until every program that runs now has ended. */
  readonly grace: () => Promise<void>;
  /** A connection by its row; what is returned may be a window that is used again. */
  readonly connection: (row: Row) => Connection;
  /**
   * Best the same object as long as it is the same way. undefined: not known (yet), so the director goes on forwarding
   * these packets, which makes the host find out.
   */
  readonly way: (to: Address) => Way | undefined;
  /** A tunnelled packet may be fragmented whatever its DF flag says (setting pmtu_disc 0): tunnels stay with the director. */
  readonly ignoresDf: () => boolean;
  /** ms, monotonic. */
  readonly clock: () => number;
  /** Called for a flow before its row can belong to another connection. */
  readonly report: FlowReport;
  /** Grace periods have failed: slots are no longer reused. */
  readonly failed: (error: Error) => void;
}

/** Connections that were not taken, and why. */
export interface OffloadCounts {
  installed: number;
  /** All slots of the window are taken. */
  crowded: number;
  /** The next hop is not known. */
  unreachable: number;
  /** A kind of forwarding that is not for the kernel. */
  unsuited: number;
}

/** An action, and what it was made of. */
interface MadeAction {
  readonly way: Way;
  readonly method: Connection['method'];
  readonly vaddr: Address;
  readonly vport: number;
  readonly dport: number;
  readonly action: Action;
}
type MadeActions = WeakMap<Connection['destination'], MadeAction>;

/** Directions of a connection. */
const REQUEST = 0;
const REPLY = 1;
const DIRECTIONS = 2;

export class KernelOffload implements FlowOffload {
  readonly counts: OffloadCounts = { installed: 0, crowded: 0, unreachable: 0, unsuited: 0 };
  readonly #options: KernelOffloadOptions;
  /** Slot of each row and direction, plus one; 0: none. */
  #slots = new Int32Array(1024 * DIRECTIONS);
  /** Each action in use, and an address that it leads to. */
  readonly #ways = new Map<number, { readonly to: Address; readonly action: Action }>();
  /** Row and direction of each slot that is in force; -1: none. */
  readonly #owners: Int32Array;
  #reclaiming = false;
  /** The actions made last for each destination, and numbers of actions that were in force when they were requested. */
  readonly #requests: MadeActions = new WeakMap();
  readonly #replies: MadeActions = new WeakMap();
  readonly #numbers = new WeakMap<Action, number>();

  constructor(options: KernelOffloadOptions) {
    this.#options = options;
    this.#owners = new Int32Array(options.flows.places).fill(NONE);
  }

  /** True when the kernel has any of the connection's packets. */
  has(row: Row): boolean {
    return this.#slotOf(row, REQUEST) !== NONE || this.#slotOf(row, REPLY) !== NONE;
  }

  /** Takes the connection, or what of it was not taken before; one whose way has changed gets the new one. */
  install(row: Row): boolean {
    const { connection, way } = this.#options;
    const bound = connection(row);
    const { method, caddr, cport, vaddr, vport, dport, protocol, destination } = bound;
    const { address } = destination;
    if (!this.#suits(bound)) {
      this.counts.unsuited++;
      return false;
    }
    const there = way(address);
    if (!there) {
      this.counts.unreachable++;
      return false;
    }
    const request = this.#actionOf(this.#requests, bound, there, requestAction);
    const taken = this.#set(row, REQUEST, protocol, caddr, cport, vaddr, vport, request, address);
    if (!taken || method !== 'nat') return taken;
    const back = way(caddr);
    if (!back) {
      this.counts.unreachable++;
      return true;
    }
    const reply = this.#actionOf(this.#replies, bound, back, replyAction);
    this.#set(row, REPLY, protocol, address, dport, caddr, cport, reply, caddr);
    return true;
  }

  remove(row: Row): void {
    for (let direction = REQUEST; direction < DIRECTIONS; direction++) this.#remove(row, direction);
  }

  sweep(): void {
    const owners = this.#owners;
    const now = this.#options.clock();
    for (let slot = 0; slot < owners.length; slot++)
      if (owners[slot] !== NONE) this.#tell(slot, owners[slot]!, now);
    this.reclaim();
  }

  /**
   * Checks whether next hops have changed: another MAC address, a smaller MTU. Flows with a changed next hop are removed:
   * their packets go to the director, which installs the connections again.
   */
  checkWays(): void {
    const { actions, flows, way } = this.#options;
    const gone = new Set<number>();
    for (const [index, { to, action }] of this.#ways) if (!goes(action, way(to))) gone.add(index);
    if (gone.size === 0) return;
    for (const action of gone) actions.withdraw(action);
    const owners = this.#owners;
    for (let slot = 0; slot < owners.length; slot++)
      if (owners[slot] !== NONE && gone.has(flows.action(slot))) this.#removeSlot(slot);
  }

  /** The same after routes have changed: flows that went one way, to a gateway, may have to part. */
  checkEachWay(): void {
    const { connection, flows, way } = this.#options;
    const owners = this.#owners;
    for (let slot = 0; slot < owners.length; slot++) {
      const owner = owners[slot]!;
      if (owner === NONE) continue;
      const { caddr, destination } = connection(owner >> 1);
      const to = (owner & 1) === REPLY ? caddr : destination.address;
      if (!goes(this.#ways.get(flows.action(slot))!.action, way(to))) this.#removeSlot(slot);
    }
  }

  /** Takes the flows of connections out that do not stay, and of those that have become unsuited. */
  review(stays: (row: Row) => boolean): void {
    const { flows, connection } = this.#options;
    const owners = this.#owners;
    const tunnels = new Set<number>();
    for (const [index, { action }] of this.#ways) if ('source' in action) tunnels.add(index);
    for (let slot = 0; slot < owners.length; slot++) {
      const owner = owners[slot]!;
      if (owner === NONE) continue;
      const row = owner >> 1;
      if (!stays(row) || (tunnels.has(flows.action(slot)) && !this.#suits(connection(row))))
        this.#removeSlot(slot);
    }
  }

  /** Makes what was taken out usable again, after a grace period; one at a time. */
  reclaim(): void {
    if (this.#reclaiming) return;
    const { flows, actions, grace, failed } = this.#options;
    const slots = flows.takeRetired();
    const unheld = actions.takeRetired();
    if (slots.length === 0 && unheld.length === 0) return;
    this.#reclaiming = true;
    grace().then(() => {
      flows.free(slots);
      actions.free(unheld);
      this.#reclaiming = false;
    }, failed);
  }

  /**
   * Two connections may have the same packets: those of one client's port, translated to the same server from two
   * services. Then neither has that direction here, and the director says of the next packet whose it is.
   */
  #set(
    row: Row,
    direction: number,
    protocol: number,
    src: Address,
    srcPort: number,
    dst: Address,
    dstPort: number,
    wanted: Action,
    to: Address,
  ): boolean {
    const { flows } = this.#options;
    const action = this.#hold(wanted);
    if (action === NONE) {
      this.counts.crowded++;
      return false;
    }
    if (!this.#ways.has(action)) this.#ways.set(action, { to: to.slice(), action: wanted });
    const known = this.#slotOf(row, direction);
    if (known !== NONE) {
      const before = flows.action(known);
      if (before !== action) flows.setAction(known, action);
      this.#release(before);
      return true;
    }
    const slot = flows.insert(protocol, src, srcPort, dst, dstPort, action);
    if (slot === NONE) {
      this.#release(action);
      const other = flows.find(protocol, src, srcPort, dst, dstPort);
      if (other === NONE) this.counts.crowded++;
      else this.#removeSlot(other);
      return false;
    }
    this.#owners[slot] = row * DIRECTIONS + direction;
    this.#grow(row);
    this.#slots[row * DIRECTIONS + direction] = slot + 1;
    this.counts.installed++;
    return true;
  }

  /** A kind of forwarding that the program knows; a tunnel's may change with an edit of its destination. */
  #suits({ method, vaddr, destination: { address, tunnel } }: Connection): boolean {
    if (method !== 'tunnel') return method === 'nat' || method === 'dr';
    // IPv6 in IPv4 takes an identification for each packet.
    return tunnel.type === 'ipip' && !this.#options.ignoresDf() && !(isV4(address) && !isV4(vaddr));
  }

  #remove(row: Row, direction: number): void {
    const slot = this.#slotOf(row, direction);
    if (slot !== NONE) this.#removeSlot(slot);
  }

  #removeSlot(slot: number): void {
    const { flows, clock } = this.#options;
    const owner = this.#owners[slot]!;
    const action = flows.action(slot);
    flows.remove(slot);
    this.#tell(slot, owner, clock());
    this.#owners[slot] = NONE;
    this.#slots[owner] = 0;
    this.#release(action);
  }

  /**
   * Returns the number of the action. Connections created in a burst share one action; remembering its number avoids
   * rebuilding the lookup key for each.
   */
  #hold(wanted: Action): number {
    const { actions } = this.#options;
    const known = this.#numbers.get(wanted);
    if (known !== undefined && actions.holdAgain(known, wanted)) return known;
    const action = actions.hold(wanted);
    if (action !== NONE) this.#numbers.set(wanted, action);
    return action;
  }

  /** What was made for the destination's connection before, as long as it is the same. */
  #actionOf(all: MadeActions, connection: Connection, way: Way, make: typeof requestAction): Action {
    const { method, vaddr, vport, dport, destination } = connection;
    const made = all.get(destination);
    if (
      made &&
      made.way === way &&
      made.method === method &&
      made.vport === vport &&
      made.dport === dport &&
      sameAddress(made.vaddr, vaddr)
    )
      return made.action;
    const action = make(connection, way);
    all.set(destination, { way, method, vaddr: vaddr.slice(), vport, dport, action });
    return action;
  }

  #release(action: number): void {
    if (this.#options.actions.release(action)) this.#ways.delete(action);
  }

  #tell(slot: number, owner: number, now: number): void {
    const { flows, report } = this.#options;
    if (!flows.count(slot)) return;
    const counted = flows.counted(slot);
    report(owner >> 1, counted[0]!, counted[1]!, now, (owner & 1) === REPLY);
  }

  #slotOf(row: Row, direction: number): number {
    return (this.#slots[row * DIRECTIONS + direction] ?? 0) - 1;
  }

  #grow(row: Row): void {
    let length = this.#slots.length;
    while (length <= row * DIRECTIONS + 1) length *= 2;
    if (length === this.#slots.length) return;
    const larger = new Int32Array(length);
    larger.set(this.#slots);
    this.#slots = larger;
  }
}

/** True when the action goes that way. */
function goes(action: Action, way: Way | undefined): boolean {
  const { hop } = action;
  return (
    way !== undefined &&
    hop.interfaceIndex === way.interfaceIndex &&
    hop.vlan === way.vlan &&
    hop.mtu === way.mtu &&
    sameMac(hop.to, 0, way.to) &&
    sameMac(hop.from, 0, way.from) &&
    (!('source' in action) || sameAddress(action.source, way.source))
  );
}

/** Actions are kept; the connection is a window that goes on to the next one. */
function requestAction(connection: Connection, way: Way): Action {
  const { method, vaddr, vport, dport, destination } = connection;
  const { address } = destination;
  switch (method) {
    case 'nat':
      return {
        kind: 'toDestination',
        hop: way,
        translation: { address: vaddr.slice(), port: vport, newAddress: address, newPort: dport },
      };
    case 'tunnel':
      return { kind: isV4(address) ? 'tunnel4' : 'tunnel6', hop: way, source: way.source, address };
    default:
      return { kind: 'route', hop: way };
  }
}

function replyAction({ vaddr, vport, dport, destination }: Connection, way: Way): Action {
  const { address } = destination;
  const translation = { address, port: dport, newAddress: vaddr.slice(), newPort: vport };
  return { kind: 'toClient', hop: way, translation };
}

/**
 * Announces the VIPs on their links, and notices other hosts that have them.
 *
 * Announcements (RFC 5227 section 2.3, RFC 4861 section 7.2.6) are sent when a VIP was added, has come back, or its
 * interface has another MAC address or a carrier again. As keepalived does (vrrp_garp_master_repeat,
 * vrrp_garp_master_delay), five are sent at once and five more 5 s later.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { System } from '../sys/system.ts';
import { SystemCallError } from '../sys/system-call-error.ts';
import { type Address, formatAddress, parseAddress } from '../wire/address.ts';
import { formatMac, type MacAddress, parseMac } from '../wire/ethernet.ts';
import type { Frame } from '../wire/frame.ts';
import { readHostFile } from './host-file.ts';
import { interfaceAddresses } from './interface-addresses.ts';
import { hasCarrier, interfaceNames, linkFacts } from './link-facts.ts';
import { type AddressClaim, writeAnnouncement, writeProbe } from './neighbor-frames.ts';
import { NeighborSocket } from './neighbor-socket.ts';

const ANNOUNCEMENTS = 5;
const SECOND_SET_MS = 5000;
/** How long another host may take to answer before a VIP is added, ms. */
const PROBE_MS = 200;
const PROBE_READ_INTERVAL_MS = 10;
/** Time between two probes of a held VIP, which find a host that answers without ever announcing itself, ms. */
const PROBE_INTERVAL_MS = 30_000;
/** A conflict ends when the other host was silent for so long, ms: two probes without an answer. */
const CONFLICT_LIFETIME_MS = 75_000;

/** A VIP on the interface whose link has to know it. */
export interface WatchedVip {
  readonly address: string;
  readonly device: string;
  /** Several hosts have it on purpose: it is neither announced nor probed. */
  readonly isShared: boolean;
  /** The director did not add it: it is announced only after a change. */
  readonly isPermanent: boolean;
}

/** Another host that has a VIP. */
export interface VipConflict {
  readonly address: string;
  readonly device: string;
  /** The other host's MAC address. */
  readonly mac: string;
}

interface Link {
  readonly index: number;
  readonly mac: MacAddress;
  readonly socket: NeighborSocket;
}

interface State {
  readonly vip: WatchedVip;
  readonly address: Address;
  /** Interface and MAC address by which it was announced; empty: it is not reachable. */
  announcedAs: string;
  secondSetAt: number;
  probeAt: number;
}

interface Seen {
  readonly conflict: VipConflict;
  seenAt: number;
}

export class VipWatch implements Disposable {
  readonly #system: System;
  readonly #clock: () => number;
  readonly #states = new Map<string, State>();
  readonly #links = new Map<string, Link>();
  readonly #conflicts = new Map<string, Seen>();
  /** Number of announcements sent since the start. */
  announcements = 0;

  /** `clock`: ms, monotonic. */
  constructor(system: System, clock: () => number) {
    this.#system = system;
    this.#clock = clock;
  }

  /** Resolves with the other hosts that answer for these VIPs, which this host is about to add, after 200 ms at most. */
  async probe(vips: readonly WatchedVip[]): Promise<readonly VipConflict[]> {
    const probed = vips.filter(({ isShared }) => !isShared).flatMap((vip) => stateOf(vip) ?? []);
    if (probed.length === 0) return [];
    const own = ownMacs();
    const addresses = new Map(probed.map((state) => [state.vip.address, state]));
    for (const { vip, address } of probed)
      this.#send(vip.device, (frame, { mac }) => writeProbe(frame, mac, address));
    const answered = new Map<string, VipConflict>();
    for (let waited = 0; waited < PROBE_MS && answered.size < probed.length; ) {
      await sleep(PROBE_READ_INTERVAL_MS);
      waited += PROBE_READ_INTERVAL_MS;
      for (const [device, { socket }] of this.#links)
        socket.receive((claim) => {
          const conflict = conflictOf(claim, device, addresses, own);
          if (conflict) answered.set(conflict.address, conflict);
        });
    }
    for (const conflict of answered.values()) this.#note(conflict);
    return [...answered.values()];
  }

  /**
   * Announces what has changed and reads what was received. Call it after VIPs have changed, and once a second.
   * `vips`: all that this host is to have.
   */
  update(vips: readonly WatchedVip[]): void {
    const now = this.#clock();
    const present = new Set(interfaceAddresses().map(({ address }) => address));
    this.#setVips(vips, now);
    this.#openLinks(vips);
    for (const state of this.#states.values()) this.#updateVip(state, present, now);
    this.#receive();
    for (const [key, { conflict, seenAt }] of this.#conflicts)
      if (now - seenAt > CONFLICT_LIFETIME_MS || !this.#states.has(conflict.address))
        this.#conflicts.delete(key);
  }

  /** The other hosts that have VIPs of this host now. */
  get conflicts(): readonly VipConflict[] {
    return [...this.#conflicts.values()].map(({ conflict }) => conflict);
  }

  [Symbol.dispose](): void {
    for (const { socket } of this.#links.values()) socket[Symbol.dispose]();
    this.#links.clear();
  }

  #setVips(vips: readonly WatchedVip[], now: number): void {
    const wanted = new Map(vips.filter(({ isShared }) => !isShared).map((vip) => [vip.address, vip]));
    for (const address of this.#states.keys()) if (!wanted.has(address)) this.#states.delete(address);
    for (const [address, vip] of wanted) {
      if (this.#states.get(address)?.vip.device === vip.device) continue;
      const state = stateOf(vip);
      if (!state) continue;
      state.probeAt = now + PROBE_INTERVAL_MS;
      if (vip.isPermanent) state.announcedAs = this.#signature(vip.device);
      this.#states.set(address, state);
    }
  }

  #updateVip(state: State, present: ReadonlySet<string>, now: number): void {
    const { vip, address } = state;
    const isReachable = present.has(vip.address) && hasCarrier(vip.device);
    const signature = isReachable ? this.#signature(vip.device) : '';
    if (signature !== state.announcedAs) {
      state.announcedAs = signature;
      state.secondSetAt = signature === '' ? 0 : now + SECOND_SET_MS;
      if (signature !== '') this.#announce(vip, address);
    }
    if (signature === '') return;
    if (state.secondSetAt !== 0 && now >= state.secondSetAt) {
      state.secondSetAt = 0;
      this.#announce(vip, address);
    }
    if (now >= state.probeAt) {
      state.probeAt = now + PROBE_INTERVAL_MS;
      this.#send(vip.device, (frame, { mac }) => writeProbe(frame, mac, address));
    }
  }

  #announce({ device }: WatchedVip, address: Address): void {
    const isRouter = forwardsIpv6(device);
    for (let i = 0; i < ANNOUNCEMENTS; i++)
      this.#send(device, (frame, { mac }) => writeAnnouncement(frame, mac, address, isRouter));
    this.announcements += ANNOUNCEMENTS;
  }

  /** Which interface it is, and its MAC address: what announcements say. */
  #signature(device: string): string {
    const facts = linkFacts(device);
    return facts ? `${facts.index} ${facts.mac}` : '';
  }

  /** Sockets of all interfaces with VIPs, opened again where an interface was re-created. */
  #openLinks(vips: readonly WatchedVip[]): void {
    const devices = new Set(vips.map(({ device }) => device));
    for (const [device, { socket }] of this.#links)
      if (!devices.has(device)) {
        socket[Symbol.dispose]();
        this.#links.delete(device);
      }
    for (const device of devices) this.#link(device);
  }

  #link(device: string): Link | undefined {
    const facts = linkFacts(device);
    const mac = facts && parseMac(facts.mac);
    const known = this.#links.get(device);
    if (known && facts && known.index === facts.index && formatMac(known.mac) === facts.mac) return known;
    if (known) {
      known.socket[Symbol.dispose]();
      this.#links.delete(device);
    }
    if (!mac || !facts.up) return undefined;
    try {
      const link = { index: facts.index, mac, socket: new NeighborSocket(this.#system, facts.index) };
      this.#links.set(device, link);
      return link;
    } catch (error) {
      // Deleted meanwhile, or out of descriptors: the next update tries again.
      if (!(error instanceof SystemCallError)) throw error;
      return undefined;
    }
  }

  #send(device: string, write: (frame: Frame, link: Link) => void): void {
    const link = this.#link(device);
    try {
      link?.socket.send((frame) => write(frame, link));
    } catch (error) {
      // The interface went down: it announces again with its carrier.
      if (!(error instanceof SystemCallError)) throw error;
    }
  }

  #receive(): void {
    const own = ownMacs();
    for (const [device, { socket }] of this.#links)
      socket.receive((claim) => {
        const conflict = conflictOf(claim, device, this.#states, own);
        // A VIP that this host does not have now may be another host's: that is how a standby works.
        if (conflict && this.#states.get(conflict.address)?.announcedAs !== '') this.#note(conflict);
      });
  }

  #note(conflict: VipConflict): void {
    this.#conflicts.set(`${conflict.address} ${conflict.mac}`, { conflict, seenAt: this.#clock() });
  }
}

function stateOf(vip: WatchedVip): State | undefined {
  const address = parseAddress(vip.address);
  return address && { vip, address, announcedAs: '', secondSetAt: 0, probeAt: 0 };
}

/** Returns the conflict that a claim means; undefined if the address is not a VIP, or the claim is this host's. */
function conflictOf(
  { address, mac }: AddressClaim,
  device: string,
  vips: ReadonlyMap<string, State>,
  own: () => ReadonlySet<string>,
): VipConflict | undefined {
  const text = formatAddress(address);
  const other = formatMac(mac);
  return vips.has(text) && !own().has(other) ? { address: text, device, mac: other } : undefined;
}

/**
 * Returns the MAC addresses of all interfaces, read when first needed: a bridge or a second interface may bring this
 * host's own frames back.
 */
function ownMacs(): () => ReadonlySet<string> {
  let macs: ReadonlySet<string> | undefined;
  return () => {
    macs ??= new Set(interfaceNames().flatMap((name) => linkFacts(name)?.mac ?? []));
    return macs;
  };
}

function forwardsIpv6(device: string): boolean {
  try {
    return readHostFile(`/proc/sys/net/ipv6/conf/${device}/forwarding`).trim() === '1';
  } catch {
    return false;
  }
}

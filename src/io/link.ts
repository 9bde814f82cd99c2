/** Makes an Ethernet driver an IP one: takes layer 2 off what is received and puts it before what is sent. */
import { type Address, isV4 } from '../wire/address.ts';
import { ARP_LENGTH, arp, isArp } from '../wire/arp.ts';
import {
  BROADCAST_MAC,
  ETHERNET_HEADER,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  ethernet,
  MAC,
  type MacAddress,
  sameMac,
  VLAN_TAG,
} from '../wire/ethernet.ts';
import { Frame } from '../wire/frame.ts';
import { ICMP6 } from '../wire/icmp6.ts';
import { IPV6_HEADER, ipv6 } from '../wire/ipv6.ts';
import {
  groupMac,
  isNdp,
  NDP_HOP_LIMIT,
  NEIGHBOR_ADVERTISEMENT,
  ndp,
  SOLICITATION_LENGTH,
  solicitedNode,
} from '../wire/ndp.ts';
import { Packet } from '../wire/packet.ts';
import { checksumHolds } from '../wire/transport-checksum.ts';
import { type NeighborLimits, Neighbors } from './neighbors.ts';
import type { PacketIo } from './packet-io.ts';

export interface LinkOptions {
  /** The address of our card: frames to others are not taken. */
  readonly mac: MacAddress;
  /** Tag that everything sent gets and everything received must have, 1..4094; without it, any tags are taken off. */
  readonly vlan?: number;
  /** Our own address towards a next hop, of the same family; undefined: there is no way to ask for it. */
  readonly source: (nextHop: Address) => Address | undefined;
  /** The time in ms. */
  readonly now: () => number;
  readonly limits?: Partial<NeighborLimits>;
}

/** An Ethernet driver as an IP one. It resolves next hops, and answers nobody's questions: that is the host's. */
export class Link implements PacketIo {
  readonly medium = 'ip';
  readonly exclusive: boolean;
  readonly neighbors: Neighbors;
  readonly #io: PacketIo;
  readonly #options: LinkOptions;
  readonly #packet = new Packet();
  readonly #own = new Frame(2048);
  readonly #released = new Frame();
  readonly #address: Address = new Uint32Array(4);
  #sink: (frame: Frame) => void = () => {};
  #handed = 0;

  constructor(io: PacketIo, options: LinkOptions) {
    if (io.medium !== 'ethernet') throw new TypeError('a link needs a driver of Ethernet frames');
    this.#io = io;
    this.#options = options;
    this.exclusive = io.exclusive;
    this.neighbors = new Neighbors(options.limits);
  }

  receive(sink: (frame: Frame) => void, budget: number): number {
    this.neighbors.due(this.#options.now(), this.#ask);
    this.#sink = sink;
    this.#handed = 0;
    this.#io.receive(this.#take, budget);
    return this.#handed;
  }

  /** Strips a received frame and hands on the IP packet in it. */
  readonly #take = (frame: Frame): void => {
    const { mac, vlan } = this.#options;
    const at = frame.start;
    const length = ethernet.headerLength(frame, at, frame.end);
    if (length < 0) return;
    if (!sameMac(frame.bytes, ethernet.dst(at), mac) && !ethernet.isGroup(frame, at)) return;
    if (vlan !== undefined && ethernet.vlan(frame, at) !== vlan) return;
    const type = ethernet.etherType(frame, at, length);
    const payload = at + length;
    if (type === ETHERTYPE_ARP) this.#heardArp(frame, payload);
    if (type !== ETHERTYPE_IPV4 && type !== ETHERTYPE_IPV6) return;
    frame.start = payload;
    if (this.#packet.decode(frame)) {
      frame.end = this.#packet.end; // Ethernet pads short packets
      if (this.#packet.protocol === ICMP6) this.#heardIcmp6();
    }
    this.#handed++;
    this.#sink(frame);
  };

  #heardArp(frame: Frame, at: number): void {
    if (!isArp(frame, at, frame.end)) return;
    this.#address[0] = 0;
    this.#address[1] = 0;
    this.#address[2] = 0xffff;
    this.#address[3] = arp.senderIp(frame, at);
    this.#learn(frame, arp.senderMac(at));
  }

  #heardIcmp6(): void {
    const { frame, transport, end, icmpType, ttl, malformed } = this.#packet;
    if (icmpType !== NEIGHBOR_ADVERTISEMENT || malformed || ttl !== NDP_HOP_LIMIT) return;
    if (!isNdp(frame, transport, end) || !checksumHolds(this.#packet)) return;
    const mac = ndp.macOffset(frame, transport, end);
    if (mac < 0) return;
    ndp.readTarget(frame, transport, this.#address);
    this.#learn(frame, mac);
  }

  /** `#address` has the MAC address at `at`: what waited for it goes out. */
  #learn(frame: Frame, at: number): void {
    const row = this.neighbors.learn(this.#address, frame.bytes, at, this.#options.now());
    if (row < 0) return;
    for (const octets of this.neighbors.release(row)) {
      this.#released.load(octets);
      this.#send(this.#released, this.neighbors.macs, row * MAC, this.#address);
    }
  }

  transmit(frame: Frame, nextHop: Address): boolean {
    const now = this.#options.now();
    const row = this.neighbors.lookup(nextHop, now);
    if (row >= 0) return this.#send(frame, this.neighbors.macs, row * MAC, nextHop);
    const waits = this.neighbors.wait(nextHop, frame, now);
    this.neighbors.due(now, this.#ask);
    return waits;
  }

  /** Puts layer 2 before an IP packet and sends it. */
  #send(frame: Frame, macs: Uint8Array, macAt: number, nextHop: Address): boolean {
    const type = frame.view.getUint8(frame.start) >> 4 === 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
    return this.#sendAs(type, frame, macs, macAt, nextHop);
  }

  #sendAs(type: number, frame: Frame, macs: Uint8Array, macAt: number, nextHop: Address): boolean {
    const { mac, vlan } = this.#options;
    const { start } = frame;
    const tagged = vlan !== undefined;
    if (!frame.prepend(ETHERNET_HEADER + (tagged ? VLAN_TAG : 0))) return false;
    if (tagged) ethernet.writeTagged(frame, frame.start, macs, macAt, mac, type, vlan);
    else ethernet.write(frame, frame.start, macs, macAt, mac, type);
    const taken = this.#io.transmit(frame, nextHop);
    frame.start = start;
    return taken;
  }

  /** Asks everybody for the MAC address of `target`. */
  readonly #ask = (target: Address): void => {
    const source = this.#options.source(target);
    if (source === undefined) return;
    const frame = this.#own;
    const { mac } = this.#options;
    frame.load(EMPTY);
    const at = frame.start;
    if (isV4(target)) {
      frame.end = at + ARP_LENGTH;
      arp.writeRequest(frame, at, mac, source, target);
      this.#sendAs(ETHERTYPE_ARP, frame, BROADCAST_MAC, 0, target);
      return;
    }
    const group = solicitedNode(target);
    frame.end = at + IPV6_HEADER + SOLICITATION_LENGTH;
    ipv6.write(frame, at, SOLICITATION_LENGTH, 0, ICMP6, NDP_HOP_LIMIT, source, group);
    ndp.writeSolicitation(frame, at + IPV6_HEADER, mac, target, source, group);
    this.#sendAs(ETHERTYPE_IPV6, frame, groupMac(group), 0, group);
  };

  flush(): void {
    this.#io.flush();
  }

  ready(signal: AbortSignal): Promise<boolean> {
    return this.#io.ready(signal);
  }

  [Symbol.dispose](): void {
    this.#io[Symbol.dispose]();
  }
}

const EMPTY = new Uint8Array(0);

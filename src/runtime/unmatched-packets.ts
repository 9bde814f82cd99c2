/** Does for packets that are no service's, but were kept from the kernel, what the kernel would have done. */

import { readFileSync } from 'node:fs';
import { enterHop, sendOn } from '../forwarding/hop.ts';
import type { ForwardingContext } from '../forwarding/method.ts';
import { guardedPort } from '../host/guard-script.ts';
import { PROTOCOL_NUMBERS } from '../model/naming.ts';
import type { OwnedChange, OwnedPart } from '../model/owned-packets.ts';
import type { Protocol } from '../model/service.ts';
import { Slice } from '../model/slice.ts';
import { type Address, parseAddress, sameAddress } from '../wire/address.ts';
import type { Frame } from '../wire/frame.ts';
import { foldAddress, multiplicative } from '../wire/hash.ts';
import { Packet } from '../wire/packet.ts';

/** Ends of connections: protocol, address and port; port 0 stands for all ports. Lookups allocate nothing. */
class EndSet {
  readonly #buckets = new Map<number, End[]>();

  /** Counts one more (1) or one less (-1) part with this end. */
  count(protocol: number, address: Address, port: number, step: 1 | -1): void {
    const hash = hashOf(protocol, address, port);
    const bucket = this.#buckets.get(hash) ?? [];
    const known = bucket.find(
      (end) => end.port === port && end.protocol === protocol && sameAddress(end.address, address),
    );
    if (known) known.parts += step;
    else if (step > 0) this.#buckets.set(hash, [...bucket, { protocol, address, port, parts: 1 }]);
    if (known?.parts !== 0) return;
    const rest = bucket.filter((end) => end !== known);
    if (rest.length > 0) this.#buckets.set(hash, rest);
    else this.#buckets.delete(hash);
  }

  has(protocol: number, address: Address, port: number): boolean {
    return this.#hasExactly(protocol, address, port) || this.#hasExactly(protocol, address, 0);
  }

  #hasExactly(protocol: number, address: Address, port: number): boolean {
    const bucket = this.#buckets.get(hashOf(protocol, address, port));
    if (bucket)
      for (const end of bucket)
        if (end.port === port && end.protocol === protocol && sameAddress(end.address, address)) return true;
    return false;
  }
}

interface End {
  readonly protocol: number;
  readonly address: Address;
  readonly port: number;
  /** Services or destinations with this end. */
  parts: number;
}

/** A small integer, so that the map's keys are not boxed. Services are configured: no seed. */
const hashOf = (protocol: number, address: Address, port: number): number =>
  multiplicative(foldAddress(address) ^ (port << 8) ^ protocol, 30);

export class UnmatchedPackets {
  readonly #context: ForwardingContext;
  /** The kernel sees none of the packets that come here: see PacketIo. */
  readonly #exclusive: boolean;
  readonly #markOf: (packet: Packet) => number;
  readonly #packet = new Packet();
  readonly #requests = new EndSet();
  readonly #replies = new EndSet();
  /** Addresses whose fragments are withheld, whatever their port: port 0. */
  readonly #fragments = new EndSet();
  /** Marks with a service, with the number of services. */
  readonly #marks = new Map<number, number>();
  #forwards = false;

  constructor(context: ForwardingContext, exclusive: boolean, markOf: (packet: Packet) => number) {
    this.#context = context;
    this.#exclusive = exclusive;
    this.#markOf = markOf;
  }

  /** Follows a change of the packets that are withheld from the host. Works in slices. */
  async change({ added, removed }: OwnedChange): Promise<void> {
    const slice = new Slice();
    for (const part of added) {
      this.#count(part, 1);
      if (slice.spent) await slice.next();
    }
    for (const part of removed) {
      this.#count(part, -1);
      if (slice.spent) await slice.next();
    }
    this.#forwards = isRouter();
  }

  #count({ service, destination }: OwnedPart, step: 1 | -1): void {
    if (destination) {
      if (destination.method !== 'nat') return;
      const protocols = 'mark' in service ? (['tcp', 'udp', 'sctp'] as const) : [service.protocol];
      for (const protocol of protocols)
        count(this.#replies, protocol, destination.address, destination.port, step);
    } else if ('mark' in service) {
      const services = (this.#marks.get(service.mark) ?? 0) + step;
      if (services > 0) this.#marks.set(service.mark, services);
      else this.#marks.delete(service.mark);
    } else {
      count(this.#requests, service.protocol, service.address, guardedPort(service), step);
      count(this.#fragments, service.protocol, service.address, 0, step);
    }
  }

  /** The frame may be changed. */
  readonly handle = (frame: Frame): void => {
    const packet = this.#packet;
    if (!packet.decode(frame) || packet.malformed) return;
    const isLocal = this.#context.host.isLocal(packet.dst);
    if (!this.#exclusive && !this.#isKept(packet, isLocal)) return;
    // Over the loopback, to a local destination's listener or to the refusal that the host itself gives.
    if (isLocal) this.#context.host.transmit(frame, packet.dst);
    else this.#route(packet);
  };

  #isKept(packet: Packet, isLocal: boolean): boolean {
    const { protocol, src, srcPort, dst, dstPort } = packet;
    if (this.#requests.has(protocol, dst, dstPort)) return true;
    if (this.#marks.size > 0 && this.#marks.has(this.#markOf(packet))) return true;
    // Fragments are kept whatever their port.
    return isLocal
      ? packet.frame.fragmentSize > 0 && this.#fragments.has(protocol, dst, 0)
      : this.#replies.has(protocol, src, srcPort);
  }

  /** As a router: what a real server says outside any connection of ours finds its way. */
  #route(packet: Packet): void {
    const route = this.#context.host.route(packet.dst);
    if (!this.#forwards || !route || packet.moreFragments || packet.fragmentOffset !== 0) return;
    if (enterHop(packet, route.mtu, false, route.source, this.#context) === undefined)
      sendOn(packet.frame, packet.dst, route.mtu, this.#context);
  }
}

function count(ends: EndSet, protocol: Protocol, text: string, port: number, step: 1 | -1): void {
  const address = parseAddress(text);
  if (address) ends.count(PROTOCOL_NUMBERS[protocol], address, port, step);
}

function isRouter(): boolean {
  try {
    return readFileSync('/proc/sys/net/ipv4/ip_forward', 'latin1').trim() === '1';
  } catch {
    return false;
  }
}

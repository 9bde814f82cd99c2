/** Does for packets that are no service's, but were kept from the kernel, what the kernel would have done. */

import { readFileSync } from 'node:fs';
import { enterHop, sendOn } from '../forwarding/hop.ts';
import type { ForwardingContext } from '../forwarding/method.ts';
import { type Guarded, guardedPort } from '../host/guard-script.ts';
import { PROTOCOL_NUMBERS } from '../model/naming.ts';
import type { Protocol } from '../model/service.ts';
import { Slice } from '../model/slice.ts';
import { type Address, parseAddress, sameAddress } from '../wire/address.ts';
import type { Frame } from '../wire/frame.ts';
import { foldAddress, multiplicative } from '../wire/hash.ts';
import { Packet } from '../wire/packet.ts';

/** Ends of connections: protocol, address and port; port 0 stands for all ports. Lookups allocate nothing. */
class EndSet {
  readonly #buckets = new Map<number, End[]>();

  add(protocol: number, address: Address, port: number): void {
    if (this.#hasExactly(protocol, address, port)) return;
    const hash = hashOf(protocol, address, port);
    const bucket = this.#buckets.get(hash);
    if (bucket) bucket.push({ protocol, address, port });
    else this.#buckets.set(hash, [{ protocol, address, port }]);
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
  #requests = new EndSet();
  #replies = new EndSet();
  /** Addresses whose fragments are withheld, whatever their port: port 0. */
  #fragments = new EndSet();
  #marks: ReadonlySet<number> = new Set();
  #forwards = false;

  constructor(context: ForwardingContext, exclusive: boolean, markOf: (packet: Packet) => number) {
    this.#context = context;
    this.#exclusive = exclusive;
    this.#markOf = markOf;
  }

  /** Replaces the packets that are withheld from the host. Works in slices; until it resolves the earlier ones count. */
  async setWithheld({ services }: Guarded): Promise<void> {
    const [requests, replies, fragments] = [new EndSet(), new EndSet(), new EndSet()];
    const marks = new Set<number>();
    const slice = new Slice();
    for (const { service, destinations } of services) {
      if (slice.spent) await slice.next();
      if ('mark' in service) marks.add(service.mark);
      else {
        add(requests, service.protocol, service.address, guardedPort(service));
        add(fragments, service.protocol, service.address, 0);
      }
      for (const { method, address, port } of destinations) {
        if (method !== 'nat') continue;
        const protocols = 'mark' in service ? (['tcp', 'udp', 'sctp'] as const) : [service.protocol];
        for (const protocol of protocols) add(replies, protocol, address, port);
      }
    }
    this.#requests = requests;
    this.#replies = replies;
    this.#fragments = fragments;
    this.#marks = marks;
    this.#forwards = isRouter();
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

function add(ends: EndSet, protocol: Protocol, text: string, port: number): void {
  const address = parseAddress(text);
  if (address) ends.add(PROTOCOL_NUMBERS[protocol], address, port);
}

function isRouter(): boolean {
  try {
    return readFileSync('/proc/sys/net/ipv4/ip_forward', 'latin1').trim() === '1';
  } catch {
    return false;
  }
}

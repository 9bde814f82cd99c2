/** Does for packets that are no service's, but were kept from the kernel, what the kernel would have done. */

import { readFileSync } from 'node:fs';
import { enterHop, sendOn } from '../forwarding/hop.ts';
import type { ForwardingContext } from '../forwarding/method.ts';
import { type Guarded, guardedPort } from '../host/guard-script.ts';
import { PROTOCOL_NUMBERS } from '../model/naming.ts';
import type { Protocol } from '../model/service.ts';
import { type Address, parseAddress, sameAddress } from '../wire/address.ts';
import type { Frame } from '../wire/frame.ts';
import { Packet } from '../wire/packet.ts';

/** Ends of connections by protocol and port; port 0: all ports. */
type Ends = Map<number, Address[]>;
const keyOf = (protocol: number, port: number): number => (protocol << 16) | port;

export class PassedPackets {
  readonly #context: ForwardingContext;
  /** The kernel sees none of the packets that come here: see PacketIo. */
  readonly #exclusive: boolean;
  readonly #markOf: (packet: Packet) => number;
  readonly #packet = new Packet();
  #requests: Ends = new Map();
  #replies: Ends = new Map();
  /** Addresses by protocol whose fragments are kept, whatever their port: key of port 0. */
  #fragments: Ends = new Map();
  #marks: ReadonlySet<number> = new Set();
  #forwards = false;

  constructor(context: ForwardingContext, exclusive: boolean, markOf: (packet: Packet) => number) {
    this.#context = context;
    this.#exclusive = exclusive;
    this.#markOf = markOf;
  }

  /** From now on just these are kept from the kernel. */
  keep({ services }: Guarded): void {
    this.#requests = new Map();
    this.#replies = new Map();
    this.#fragments = new Map();
    const marks = new Set<number>();
    for (const { service, destinations } of services) {
      if ('mark' in service) marks.add(service.mark);
      else {
        add(this.#requests, service.protocol, service.address, guardedPort(service));
        add(this.#fragments, service.protocol, service.address, 0);
      }
      for (const { method, address, port } of destinations) {
        if (method !== 'nat') continue;
        const protocols = 'mark' in service ? (['tcp', 'udp', 'sctp'] as const) : [service.protocol];
        for (const protocol of protocols) add(this.#replies, protocol, address, port);
      }
    }
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
    if (has(this.#requests, protocol, dst, dstPort)) return true;
    if (this.#marks.size > 0 && this.#marks.has(this.#markOf(packet))) return true;
    // Fragments are kept whatever their port.
    return isLocal
      ? packet.frame.fragmentSize > 0 && has(this.#fragments, protocol, dst, 0)
      : has(this.#replies, protocol, src, srcPort);
  }

  /** As a router: what a real server says outside any connection of ours finds its way. */
  #route(packet: Packet): void {
    const route = this.#context.host.route(packet.dst);
    if (!this.#forwards || !route || packet.moreFragments || packet.fragmentOffset !== 0) return;
    if (enterHop(packet, route.mtu, false, route.source, this.#context) === undefined)
      sendOn(packet.frame, packet.dst, route.mtu, this.#context);
  }
}

function add(ends: Ends, protocol: Protocol, text: string, port: number): void {
  const address = parseAddress(text);
  if (!address) return;
  const key = keyOf(PROTOCOL_NUMBERS[protocol], port);
  const known = ends.get(key);
  if (known) known.push(address);
  else ends.set(key, [address]);
}

function has(ends: Ends, protocol: number, address: Address, port: number): boolean {
  return among(ends.get(keyOf(protocol, port)), address) || among(ends.get(keyOf(protocol, 0)), address);
}

function among(addresses: readonly Address[] | undefined, address: Address): boolean {
  if (addresses) for (const each of addresses) if (sameAddress(each, address)) return true;
  return false;
}

function isRouter(): boolean {
  try {
    return readFileSync('/proc/sys/net/ipv4/ip_forward', 'latin1').trim() === '1';
  } catch {
    return false;
  }
}

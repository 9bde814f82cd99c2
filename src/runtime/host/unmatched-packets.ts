/** Delivers or forwards packets that match no service and were withheld from the kernel, as the kernel would. */

import { enterHop, sendOn } from '../../forwarding/hop.ts';
import type { ForwardingContext } from '../../forwarding/method.ts';
import { guardedPort, guardedReplyPort } from '../../host/guard-script.ts';
import { readHostFile } from '../../host/host-file.ts';
import { PROTOCOL_NUMBERS } from '../../model/naming.ts';
import { countPart, type OwnedChange, type OwnedPart, protocolsOf } from '../../model/owned-packets.ts';
import type { Protocol } from '../../model/service.ts';
import { Slice } from '../../model/slice.ts';
import { type Address, parseAddress, sameAddress } from '../../wire/address.ts';
import type { Frame } from '../../wire/frame.ts';
import { foldAddress, multiplicative } from '../../wire/hash.ts';
import { Packet } from '../../wire/packet.ts';
import { SCTP_INIT } from '../../wire/sctp.ts';
import { ACK, SYN } from '../../wire/tcp.ts';

/** A set of endpoints: protocol, address and port; port 0 stands for all ports. Lookups allocate nothing. */
class EndpointSet {
  readonly #buckets = new Map<number, Endpoint[]>();

  /** Adds a part with this endpoint (1), or removes one (-1). */
  count(protocol: number, address: Address, port: number, step: 1 | -1): void {
    const hash = hashOf(protocol, address, port);
    const bucket = this.#buckets.get(hash) ?? [];
    const known = endpointIn(bucket, protocol, address, port);
    if (known) known.parts += step;
    else if (step > 0) this.#buckets.set(hash, [...bucket, { protocol, address, port, parts: 1 }]);
    if (known?.parts !== 0) return;
    const rest = bucket.filter((each) => each !== known);
    if (rest.length > 0) this.#buckets.set(hash, rest);
    else this.#buckets.delete(hash);
  }

  has(protocol: number, address: Address, port: number): boolean {
    return this.#hasExactly(protocol, address, port) || this.#hasExactly(protocol, address, 0);
  }

  #hasExactly(protocol: number, address: Address, port: number): boolean {
    const bucket = this.#buckets.get(hashOf(protocol, address, port));
    return bucket !== undefined && endpointIn(bucket, protocol, address, port) !== undefined;
  }
}

interface Endpoint {
  readonly protocol: number;
  readonly address: Address;
  readonly port: number;
  /** Number of services and destinations with this endpoint. */
  parts: number;
}

function endpointIn(
  bucket: readonly Endpoint[],
  protocol: number,
  address: Address,
  port: number,
): Endpoint | undefined {
  for (const each of bucket)
    if (each.port === port && each.protocol === protocol && sameAddress(each.address, address)) return each;
  return undefined;
}

/** Returns a small integer, so that the map's keys are not boxed. It needs no seed: clients do not choose services. */
const hashOf = (protocol: number, address: Address, port: number): number =>
  multiplicative(foldAddress(address) ^ (port << 8) ^ protocol, 30);

/** Handles packets that match no service. */
export class UnmatchedPackets {
  readonly #context: ForwardingContext;
  /** True if the kernel receives no packets of the driver: see PacketIo. */
  readonly #exclusive: boolean;
  readonly #markOf: (packet: Packet) => number;
  readonly #packet = new Packet();
  readonly #requests = new EndpointSet();
  readonly #replies = new EndpointSet();
  /** Addresses whose fragments are withheld regardless of their port: port 0. */
  readonly #fragments = new EndpointSet();
  /** Marks with a service, with the number of services. */
  readonly #marks = new Map<number, number>();
  #forwards = false;
  /** While true, the host receives no packets of unknown connections. */
  #inGrace = false;
  #droppedInGrace = 0;

  constructor(context: ForwardingContext, exclusive: boolean, markOf: (packet: Packet) => number) {
    this.#context = context;
    this.#exclusive = exclusive;
    this.#markOf = markOf;
  }

  /** Applies a change of the packets that are withheld from the host. Works in slices. */
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
      for (const protocol of protocolsOf(service))
        count(this.#replies, protocol, destination.address, guardedReplyPort(service, destination), step);
    } else if ('mark' in service) {
      countPart(this.#marks, service.mark, step);
    } else {
      count(this.#requests, service.protocol, service.address, guardedPort(service), step);
      count(this.#fragments, service.protocol, service.address, 0, step);
    }
  }

  /** Reports whether a service has the address. */
  serves(address: Address | undefined): boolean {
    const protocols = Object.values(PROTOCOL_NUMBERS);
    return address !== undefined && protocols.some((protocol) => this.#fragments.has(protocol, address, 0));
  }

  /**
   * Begins the grace period: packets of services that belong to a connection and start none are dropped, because the host
   * would reset a connection of another director. The client sends them again.
   */
  beginGrace(): void {
    this.#inGrace = true;
  }

  /** Ends the grace period. Returns the number of packets that were dropped in it. */
  endGrace(): number {
    this.#inGrace = false;
    const dropped = this.#droppedInGrace;
    this.#droppedInGrace = 0;
    return dropped;
  }

  /** Handles a packet. May change the frame. */
  readonly handle = (frame: Frame): void => {
    const packet = this.#packet;
    if (!packet.decode(frame) || packet.malformed) return;
    const isLocal = this.#context.host.isLocal(packet.dst);
    const isWithheld = (this.#inGrace || !this.#exclusive) && this.#isWithheld(packet, isLocal);
    if (!this.#exclusive && !isWithheld) return;
    if (this.#inGrace && isWithheld && continuesConnection(packet)) {
      this.#droppedInGrace++;
      return;
    }
    // Over the loopback: a local listener accepts the packet, or the host rejects it.
    if (isLocal) this.#context.host.transmit(frame, packet.dst);
    else this.#route(packet);
  };

  #isWithheld(packet: Packet, isLocal: boolean): boolean {
    const { protocol, src, srcPort, dst, dstPort } = packet;
    if (this.#requests.has(protocol, dst, dstPort)) return true;
    if (this.#marks.size > 0 && this.#marks.has(this.#markOf(packet))) return true;
    // Fragments are withheld regardless of their port.
    return isLocal
      ? packet.frame.fragmentSize > 0 && this.#fragments.has(protocol, dst, 0)
      : this.#replies.has(protocol, src, srcPort);
  }

  /** Forwards a packet as a router does, for example one that a real server sends outside all connections. */
  #route(packet: Packet): void {
    const route = this.#context.host.route(packet.dst);
    if (!this.#forwards || !route || packet.moreFragments || packet.fragmentOffset !== 0) return;
    if (enterHop(packet, route.mtu, false, route.source, this.#context) === undefined)
      sendOn(packet.frame, packet.dst, route.mtu, this.#context);
  }
}

/** Reports whether a packet belongs to a connection that an earlier packet started. */
function continuesConnection({ protocol, fragmentOffset, tcpFlags, sctpChunk }: Packet): boolean {
  if (fragmentOffset !== 0) return true;
  if (protocol === PROTOCOL_NUMBERS.tcp) return (tcpFlags & (SYN | ACK)) !== SYN;
  return protocol === PROTOCOL_NUMBERS.sctp && sctpChunk !== SCTP_INIT;
}

function count(ends: EndpointSet, protocol: Protocol, text: string, port: number, step: 1 | -1): void {
  const address = parseAddress(text);
  if (address) ends.count(PROTOCOL_NUMBERS[protocol], address, port, step);
}

function isRouter(): boolean {
  try {
    return readHostFile('/proc/sys/net/ipv4/ip_forward').trim() === '1';
  } catch {
    return false;
  }
}

/** A packet that may begin a connection, seen as a request: who asks whom for what. Reused. */
import type { Request } from '../../schedulers/scheduler.ts';
import type { Address } from '../../wire/address.ts';
import type { Packet } from '../../wire/packet.ts';
import { SCTP, SCTP_ABORT, SCTP_INIT } from '../../wire/sctp.ts';
import { RST, SYN, TCP } from '../../wire/tcp.ts';
import type { Service } from '../service.ts';

export class Arrival implements Request {
  /** The packet that came; an ICMP error quotes the one that the rest is about. */
  packet!: Packet;
  family: 4 | 6 = 4;
  protocol = 0;
  caddr!: Address;
  cport = 0;
  vaddr!: Address;
  vport = 0;
  daddr!: Address;
  /** Firewall mark; 0: none. */
  mark = 0;
  /** True when an ICMP error asks for a connection, on behalf of what it quotes. */
  isQuoted = false;
  now = 0;
  /** Of the packet that asks, itself or quoted. */
  #tcpFlags = 0;
  #sctpChunk = -1;

  /** Returns a client's own packet. */
  set(packet: Packet, mark: number, now: number): this {
    return this.#take(packet, packet, packet.src, packet.srcPort, packet.dst, packet.dstPort, mark, now);
  }

  /** Returns a real server's own message to a client, which makes the client's connection with the service. */
  setStarted(packet: Packet, { address, port }: Service, now: number): this {
    return this.#take(packet, packet, packet.dst, packet.dstPort, address, port, 0, now);
  }

  /** Returns a client's ICMP error about `quoted`, which a server sent: the request goes the other way. */
  setQuoted(packet: Packet, quoted: Packet, mark: number, now: number): this {
    const { src, srcPort, dst, dstPort } = quoted;
    return this.#take(packet, quoted, dst, dstPort, src, srcPort, mark, now);
  }

  #take(
    packet: Packet,
    asking: Packet,
    caddr: Address,
    cport: number,
    vaddr: Address,
    vport: number,
    mark: number,
    now: number,
  ): this {
    this.packet = packet;
    this.isQuoted = packet !== asking;
    this.family = asking.family;
    this.protocol = asking.protocol;
    this.caddr = caddr;
    this.cport = cport;
    this.vaddr = vaddr;
    this.vport = vport;
    this.daddr = asking.dst;
    this.mark = mark;
    this.now = now;
    this.#tcpFlags = asking.tcpFlags;
    this.#sctpChunk = asking.sctpChunk;
    return this;
  }

  /**
   * True for the first packet of a connection. With `sloppyTcp` and `sloppySctp` any will do, save one that breaks off; so does
   * any that an error quotes, of which only the ports need be there.
   */
  begins(sloppyTcp: boolean, sloppySctp: boolean): boolean {
    if (this.isQuoted) return true;
    if (this.protocol === TCP)
      return (this.#tcpFlags & RST) === 0 && (sloppyTcp || (this.#tcpFlags & SYN) !== 0);
    if (this.protocol !== SCTP) return true;
    return this.#sctpChunk !== SCTP_ABORT && (sloppySctp || this.#sctpChunk === SCTP_INIT);
  }
}

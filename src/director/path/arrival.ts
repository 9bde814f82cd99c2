/** A packet that may begin a connection, as a scheduling request. Reused. */
import type { Request } from '../../schedulers/scheduler.ts';
import type { Address } from '../../wire/address.ts';
import type { Packet } from '../../wire/packet.ts';
import { SCTP, SCTP_ABORT, SCTP_INIT } from '../../wire/sctp.ts';
import { RST, SYN, TCP } from '../../wire/tcp.ts';
import type { Service } from '../service.ts';

export class Arrival implements Request {
  /** The received packet; if it is an ICMP error, the other fields describe the packet that it quotes. */
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
  /** An ICMP error requests the connection, for the packet that it quotes. */
  isQuoted = false;
  now = 0;
  /** TCP flags of the packet, or of the quoted one. */
  #tcpFlags = 0;
  #sctpChunk = -1;

  /** Reads a packet of a client. */
  set(packet: Packet, mark: number, now: number): this {
    return this.#take(packet, packet, packet.src, packet.srcPort, packet.dst, packet.dstPort, mark, now);
  }

  /**
   * Reads a message of a real server to a client, which creates a connection of the client with the service.
   */
  setStarted(packet: Packet, { address, port }: Service, now: number): this {
    return this.#take(packet, packet, packet.dst, packet.dstPort, address, port, 0, now);
  }

  /**
   * Reads a client's ICMP error about `quoted`, which a server sent: the request has the opposite direction.
   */
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
   * Reports whether the packet is the first of a connection. With `sloppyTcp` and `sloppySctp` any packet is,
   * except one that ends a connection; so is any that an error quotes, which needs only ports.
   */
  begins(sloppyTcp: boolean, sloppySctp: boolean): boolean {
    if (this.isQuoted) return true;
    if (this.protocol === TCP)
      return (this.#tcpFlags & RST) === 0 && (sloppyTcp || (this.#tcpFlags & SYN) !== 0);
    if (this.protocol !== SCTP) return true;
    return this.#sctpChunk !== SCTP_ABORT && (sloppySctp || this.#sctpChunk === SCTP_INIT);
  }
}

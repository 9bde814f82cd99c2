/** A packet that may begin a connection, as a scheduling request. Reused. */
import type { FiveTuple } from '../../model/connection.ts';
import type { Request } from '../../schedulers/scheduler.ts';
import type { Address } from '../../wire/address.ts';
import type { Packet } from '../../wire/packet.ts';
import { SCTP, SCTP_ABORT, SCTP_INIT } from '../../wire/sctp.ts';
import { RST, SYN, TCP } from '../../wire/tcp.ts';
import type { Service } from '../service.ts';

export class Arrival implements Request, FiveTuple {
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
    this.#read(packet, packet, mark, now);
    return this.#setEnds(packet.src, packet.srcPort, packet.dst, packet.dstPort);
  }

  /**
   * Reads a message of a real server to a client, which creates a connection of the client with the service.
   */
  setStarted(packet: Packet, { address, port }: Service, now: number): this {
    this.#read(packet, packet, 0, now);
    return this.#setEnds(packet.dst, packet.dstPort, address, port);
  }

  /**
   * Reads a client's ICMP error about `quoted`, which a server sent: the request has the opposite direction.
   */
  setQuoted(packet: Packet, quoted: Packet, mark: number, now: number): this {
    this.#read(packet, quoted, mark, now);
    return this.#setEnds(quoted.dst, quoted.dstPort, quoted.src, quoted.srcPort);
  }

  /** Sets all but the endpoints. `requesting`: the packet, or the one that it quotes. */
  #read(packet: Packet, requesting: Packet, mark: number, now: number): void {
    this.packet = packet;
    this.isQuoted = packet !== requesting;
    this.family = requesting.family;
    this.protocol = requesting.protocol;
    this.daddr = requesting.dst;
    this.mark = mark;
    this.now = now;
    this.#tcpFlags = requesting.tcpFlags;
    this.#sctpChunk = requesting.sctpChunk;
  }

  #setEnds(caddr: Address, cport: number, vaddr: Address, vport: number): this {
    this.caddr = caddr;
    this.cport = cport;
    this.vaddr = vaddr;
    this.vport = vport;
    return this;
  }

  /** Reports whether the packet continues a TCP connection, which another director may have scheduled. */
  get continues(): boolean {
    return !this.isQuoted && this.protocol === TCP && (this.#tcpFlags & SYN) === 0;
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

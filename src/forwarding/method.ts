/** What a forwarding method is: the mechanism that brings a packet to its destination. */
import type { Connection } from '../model/connection.ts';
import type { Settings } from '../model/settings.ts';
import type { Verdict } from '../model/verdict.ts';
import type { Address } from '../wire/address.ts';
import type { Frame } from '../wire/frame.ts';
import type { Packet } from '../wire/packet.ts';
import type { ErrorLimit } from './error-limit.ts';

/** What the director's host knows of the way to an address. */
export interface Route {
  /** MTU of the link towards it, bytes. */
  readonly mtu: number;
  /**
   * The host's own address on that link, of the same family: the source of tunnel headers and of ICMP errors. The way to
   * an own address has that address itself.
   */
  readonly source: Address;
}

/** Where rewritten packets go, and what a method must know of its host. Methods name a next hop and never touch layer 2. */
export interface Host {
  /** Sends the packet towards `nextHop`; false: it was lost. The frame is free again when this returns. */
  transmit(frame: Frame, nextHop: Address): boolean;
  /** undefined: no way there. */
  route(to: Address): Route | undefined;
  /** True for the host's own addresses, VIPs included. */
  isLocal(address: Address): boolean;
  /**
   * Reports whether the host accepts packets from `source` to `destination` on the interface with the index `ingress`
   * (0: unknown): its rules for martian sources and rp_filter. Missing: all are accepted.
   */
  isValidSource?(source: Address, destination: Address, ingress: number): boolean;
  /**
   * Learns that the path to `to` is narrower than its link: `mtu` octets (RFC 1191, RFC 8201). Returns the MTU that
   * packets to there use: the new one only if they have used a narrow path before. See PathMtuHost.
   */
  learnMtu?(to: Address, mtu: number): number;
}

/** What a method is given besides the packet; one for a director's whole life. */
export interface ForwardingContext {
  readonly host: Host;
  readonly settings: Readonly<Settings>;
  /** Identification of the next IP packet that the director itself makes, 0..65535. */
  nextId(): number;
  /** Bounds the ICMP errors that are sent; missing: all are. */
  readonly errorLimit?: ErrorLimit | undefined;
}

/** How packets of a connection reach its destination; rewrites the frame in place, then hands it to the host. */
export interface ForwardingMethod {
  /**
   * From the client to the destination: checks TTL and MTU (answering the client as a router does), rewrites, sends.
   * `packet.frame` is the frame; `connection.caddr` the client.
   */
  request(packet: Packet, connection: Connection, context: ForwardingContext): Verdict;
  /** From the destination back to the client. Absent where replies bypass the director: the point of dr and tunnel. */
  reply?(packet: Packet, connection: Connection, context: ForwardingContext): Verdict;
}

/** A forwarding method: the mechanism that sends a packet to its destination. */
import type { Connection } from '../model/connection.ts';
import type { Settings } from '../model/settings.ts';
import type { Verdict } from '../model/verdict.ts';
import type { Address } from '../wire/address.ts';
import type { Frame } from '../wire/frame.ts';
import type { Packet } from '../wire/packet.ts';
import type { ErrorLimit } from './error-limit.ts';

/** The host's route to an address. */
export interface Route {
  /** MTU of its link, bytes. */
  readonly mtu: number;
  /**
   * The host's address on that link, of the same family: the source of tunnel headers and of ICMP errors. The
   * route to a local address has that address itself.
   */
  readonly source: Address;
}

/**
 * The host that sends packets, and that methods query. Methods name a next hop and never change the link
 * layer.
 */
export interface Host {
  /**
   * Sends the packet towards `nextHop`; returns false when it was lost. The frame may be reused afterwards.
   */
  transmit(frame: Frame, nextHop: Address): boolean;
  /** Returns the route; undefined without one. */
  route(to: Address): Route | undefined;
  /** Reports whether the address is local, VIPs included. */
  isLocal(address: Address): boolean;
  /**
   * Reports whether the host accepts packets from `source` to `destination` on the interface with the index `ingress`
   * (0: unknown): its rules for martian sources and rp_filter. Missing: all are accepted.
   */
  isValidSource?(source: Address, destination: Address, ingress: number): boolean;
  /** Returns the time since midnight UT, ms. Missing: the time is unknown. */
  timeOfDay?(): number;
  /**
   * Learns that the path to `to` is narrower than its link: `mtu` octets (RFC 1191, RFC 8201). Returns the MTU that
   * packets to there use: the new one only if they have used a narrow path before. See PathMtuHost.
   */
  learnMtu?(to: Address, mtu: number): number;
  /** Rises whenever a path MTU was learned, became narrower, or expired. */
  readonly pathChanges?: number;
}

/** Context of forwarding methods; one per director. */
export interface ForwardingContext {
  readonly host: Host;
  readonly settings: Readonly<Settings>;
  /** Returns the identification of the next IP packet that the director creates, 0..65535. */
  nextId(): number;
  /** Limits ICMP errors; missing: no limit. */
  readonly errorLimit?: ErrorLimit | undefined;
}

/**
 * Sends packets of a connection to its destination: rewrites the frame in place, then passes it to the host.
 */
export interface ForwardingMethod {
  /**
   * From the client to the destination: checks TTL and MTU (sending errors like a router), rewrites, sends.
   * `packet.frame` is the frame; `connection.caddr` the client.
   */
  request(packet: Packet, connection: Connection, context: ForwardingContext): Verdict;
  /** From the destination to the client. Missing when replies bypass the director, as with dr and tunnel. */
  reply?(packet: Packet, connection: Connection, context: ForwardingContext): Verdict;
}

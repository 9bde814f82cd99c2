/** A connection as forwarding methods see it. */
import type { Address } from '../wire/address.ts';
import type { ConnectionMethod, Destination } from './destination.ts';

/** Row number of a connection in the table; -1: none. */
export type Row = number;
export const NONE: Row = -1;

/** The ends of a connection as the client sees them. Of a template: the client's network, port 0. */
export interface FiveTuple {
  /** IP protocol number; 0 for a template of a firewall mark. */
  readonly protocol: number;
  readonly caddr: Address;
  readonly cport: number;
  readonly vaddr: Address;
  readonly vport: number;
}

/**
 * One connection: c client, v virtual service, d destination. A view of a table row, which is reused: valid
 * until another row is read. Callers must neither keep nor modify its addresses.
 */
export interface Connection extends FiveTuple {
  readonly row: Row;
  readonly dport: number;
  /** Has the destination's address. Remains valid after the destination was removed. */
  readonly destination: Destination;
  /** The method when the connection was created; editing the destination does not change it. */
  readonly method: ConnectionMethod;
}

/** Timeout of a new connection until its protocol sets one, ms (Linux 6.1, ip_vs_conn.c). */
export const INITIAL_TIMEOUT_MS = 3000;

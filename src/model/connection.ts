/** A connection as forwarding methods see it, and the flags it carries. */
import type { Address } from '../wire/address.ts';
import type { ConnectionMethod, Destination } from './destination.ts';

/** Row number of a connection in the table; -1: none. */
export type Row = number;
export const NONE: Row = -1;

/**
 * One connection: c client, v virtual service, d destination. A window onto a table row, reused:
 * valid until the table is asked for another row. Its addresses are not to be kept or written to.
 */
export interface Connection {
  readonly row: Row;
  /** IP protocol number; 0 for a template of a firewall mark. */
  readonly protocol: number;
  readonly caddr: Address;
  readonly cport: number;
  readonly vaddr: Address;
  readonly vport: number;
  readonly dport: number;
  /** Carries the destination's address. Stays valid after the destination was removed. */
  readonly destination: Destination;
  /** As bound when the connection was made: a later edit of the destination does not change it. */
  readonly method: ConnectionMethod;
}

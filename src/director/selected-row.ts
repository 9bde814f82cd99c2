/** The ends of one connection, copied out of the table. */
import { type FiveTuple, NONE, type Row } from '../model/connection.ts';
import type { Address } from '../wire/address.ts';

/** A row's addresses and ports; valid until the next `select` of the table. */
export class SelectedRow implements FiveTuple {
  row: Row = NONE;
  protocol = 0;
  readonly caddr: Address = new Uint32Array(4);
  cport = 0;
  readonly vaddr: Address = new Uint32Array(4);
  vport = 0;
  dport = 0;
}

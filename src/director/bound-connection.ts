/** A view of a connection and its destination for forwarding methods. */

import type { Connection, Row } from '../model/connection.ts';
import type { ConnectionMethod } from '../model/destination.ts';
import type { Address } from '../wire/address.ts';
import type { ConnectionTable } from './connections.ts';
import type { SelectedRow } from './selected-row.ts';
import type { RealDestination } from './service.ts';

/** Forwarding methods, indexed by their number in a connection's flags. */
export const METHODS: readonly ConnectionMethod[] = ['nat', 'local', 'tunnel', 'dr'];

/** One per director; shows the connection that `select` chose last. */
export class BoundConnection implements Connection {
  readonly caddr: Address;
  readonly vaddr: Address;
  destination!: RealDestination;
  readonly #table: Pick<ConnectionTable, 'method' | 'select'>;
  readonly #selected: SelectedRow;

  constructor(table: Pick<ConnectionTable, 'method' | 'select' | 'window'>) {
    this.#table = table;
    this.#selected = table.window;
    this.caddr = table.window.caddr;
    this.vaddr = table.window.vaddr;
  }

  get row(): Row {
    return this.#selected.row;
  }

  get protocol(): number {
    return this.#selected.protocol;
  }

  get cport(): number {
    return this.#selected.cport;
  }

  get vport(): number {
    return this.#selected.vport;
  }

  get dport(): number {
    return this.#selected.dport;
  }

  get method(): ConnectionMethod {
    return METHODS[this.#table.method(this.#selected.row)]!;
  }

  select(row: Row, destination: RealDestination): this {
    this.#table.select(row);
    this.destination = destination;
    return this;
  }
}

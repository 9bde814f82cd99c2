/** The window onto a table row that forwarding methods look through: what the table has, with its destination. */

import type { Connection, Row } from '../model/connection.ts';
import type { ConnectionMethod } from '../model/destination.ts';
import type { Address } from '../wire/address.ts';
import type { ConnectionTable, SelectedRow } from './connections.ts';
import type { RealDestination } from './service.ts';

/** By the number that a connection's flags have for it. */
export const METHODS: readonly ConnectionMethod[] = ['nat', 'local', 'tunnel', 'dr'];

/** One for a director; says what `select` chose last. */
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

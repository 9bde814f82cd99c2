/** A connection table for one packet: copies the rows that are looked up from another table, and changes the copies. */
import { type FiveTuple, NONE, type Row } from '../../model/connection.ts';
import type { DestinationRecords } from '../../table/destination-records.ts';
import type { Address } from '../../wire/address.ts';
import { type Binding, ConnectionTable } from '../connections.ts';

/** Rows that one packet can involve; one client may have many templates. */
const REHEARSED_ROWS = 256;

export interface RehearsedTableOptions {
  readonly real: ConnectionTable;
  /** ms. */
  readonly now: number;
  /** The records of destinations that copies name. */
  readonly records: DestinationRecords;
  /** Called before a row that names this destination is copied: its record must have been copied. */
  readonly named: (destination: number) => void;
  /** Called when a row was copied, before it is read. */
  readonly copied: (real: Row, copy: Row) => void;
  /** Called for the row that a lookup returned. */
  readonly found: (row: Row, what: 'connection' | 'template', fromClient: boolean) => void;
  /** Called for a new row. */
  readonly added: (row: Row) => void;
  /** Called when a template is invalidated. */
  readonly invalidated: () => void;
}

export class RehearsedTable extends ConnectionTable {
  readonly #options: RehearsedTableOptions;
  /** Copies, by the row that was copied. */
  readonly #copies = new Map<Row, Row>();

  constructor(options: RehearsedTableOptions) {
    super({ limit: REHEARSED_ROWS, seed: 0, records: options.records });
    this.#options = options;
  }

  override findFromClient(
    protocol: number,
    caddr: Address,
    cport: number,
    vaddr: Address,
    vport: number,
  ): Row {
    this.#copy(this.#options.real.findFromClient(protocol, caddr, cport, vaddr, vport));
    return this.#noted(super.findFromClient(protocol, caddr, cport, vaddr, vport), 'connection', true);
  }

  override findFromDestination(
    protocol: number,
    daddr: Address,
    dport: number,
    caddr: Address,
    cport: number,
  ): Row {
    this.#copy(this.#options.real.findFromDestination(protocol, daddr, dport, caddr, cport));
    return this.#noted(super.findFromDestination(protocol, daddr, dport, caddr, cport), 'connection', false);
  }

  override findTemplate(protocol: number, caddr: Address, vaddr: Address, vport: number, salt = 0): Row {
    this.#copy(this.#options.real.findTemplate(protocol, caddr, vaddr, vport, salt));
    return this.#noted(super.findTemplate(protocol, caddr, vaddr, vport, salt), 'template', true);
  }

  override templates(
    protocol: number,
    caddr: Address,
    vaddr: Address,
    vport: number,
    visit: (row: Row) => boolean,
    salt = 0,
  ): Row {
    const rows: Row[] = [];
    this.#options.real.templates(
      protocol,
      caddr,
      vaddr,
      vport,
      (row) => rows.push(row) >= REHEARSED_ROWS / 2,
      salt,
    );
    // The newest is found first, so it is copied last.
    for (const row of rows.reverse()) this.#copy(row);
    return this.#noted(super.templates(protocol, caddr, vaddr, vport, visit, salt), 'template', true);
  }

  override add(ends: FiveTuple, binding: Binding): Row {
    const { real, added } = this.#options;
    if (real.size + this.size - this.#copies.size >= real.capacity) return NONE;
    const row = super.add(ends, binding);
    if (row !== NONE) added(row);
    return row;
  }

  override invalidateTemplate(row: Row): void {
    this.#options.invalidated();
    super.invalidateTemplate(row);
  }

  /** Copies a row of the other table, and the template that controls it; NONE for NONE, or if this table is full. */
  #copy(row: Row): Row {
    const known = row === NONE ? NONE : this.#copies.get(row);
    if (known !== undefined) return known;
    const { real, now, named, copied } = this.#options;
    const ends = real.select(row);
    const destination = real.destination(row);
    named(destination);
    const binding = { destination, dport: ends.dport, flags: real.flags(row), salt: real.salt(row) };
    const copy = super.add(ends, binding);
    if (copy === NONE) return NONE;
    this.#copies.set(row, copy);
    this.setState(copy, real.state(row));
    this.setTimeout(copy, real.timeout(row));
    this.addPackets(copy, real.packets(row));
    this.touch(copy, now);
    const template = this.#copy(real.template(row));
    if (template !== NONE) this.control(copy, template);
    this.setChildren(copy, real.children(row));
    if (template !== NONE) this.setChildren(template, real.children(real.template(row)));
    copied(row, copy);
    return copy;
  }

  #noted(row: Row, what: 'connection' | 'template', fromClient: boolean): Row {
    if (row !== NONE) this.#options.found(row, what, fromClient);
    return row;
  }
}

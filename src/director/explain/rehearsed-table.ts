/** A connection table for one packet: has what another one has of what it is asked for, and keeps changes to itself. */
import { NONE, type Row } from '../../model/connection.ts';
import type { Address } from '../../wire/address.ts';
import { ConnectionTable } from '../connections.ts';
import type { Core } from '../core.ts';

/** Rows that one packet can have to do with; of templates of one client there may be many. */
const ROWS = 256;

export interface RehearsedTableOptions {
  readonly real: Core['table'];
  /** ms. */
  readonly now: number;
  /** Hears of a row that was copied, before its columns are read. */
  readonly copied: (real: Row, own: Row) => void;
  readonly found: (own: Row, what: 'connection' | 'template', fromClient: boolean) => void;
  readonly added: (own: Row) => void;
  readonly givenUp: () => void;
}

/** The table, and which of its rows were copied. */
export function rehearsedTable(options: RehearsedTableOptions): Core['table'] {
  const { real, now, copied, found, added, givenUp } = options;
  const own = new ConnectionTable({ limit: ROWS, seed: 0 });
  const taken = new Map<Row, Row>();

  const take = (row: Row): Row => {
    const known = row === NONE ? NONE : taken.get(row);
    if (known !== undefined) return known;
    const { protocol, caddr, cport, vaddr, vport, daddr, dport } = real.select(row);
    const flags = real.flags[row]!;
    const copy = own.add(protocol, caddr, cport, vaddr, vport, daddr, dport, flags, real.salt(row));
    if (copy === NONE) return NONE;
    taken.set(row, copy);
    own.state[copy] = real.state[row]!;
    own.timeout[copy] = real.timeout[row]!;
    own.destination[copy] = real.destination[row]!;
    own.inPackets[copy] = real.inPackets[row]!;
    own.children[copy] = real.children[row]!;
    own.mark[copy] = real.mark[row]!;
    own.touch(copy, now);
    own.template[copy] = take(real.template[row]!);
    copied(row, copy);
    return copy;
  };
  const noted = (row: Row, what: 'connection' | 'template', fromClient = true): Row => {
    if (row !== NONE) found(row, what, fromClient);
    return row;
  };

  return {
    capacity: real.capacity,
    flags: own.flags,
    state: own.state,
    timeout: own.timeout,
    destination: own.destination,
    inPackets: own.inPackets,
    template: own.template,
    children: own.children,
    mark: own.mark,
    window: own.window,
    get size() {
      return real.size + own.size - taken.size;
    },
    get octets() {
      return real.octets;
    },
    get highWater() {
      return own.highWater;
    },
    get longestProbe() {
      return own.longestProbe;
    },
    findFromClient(protocol, caddr, cport, vaddr, vport) {
      take(real.findFromClient(protocol, caddr, cport, vaddr, vport));
      return noted(own.findFromClient(protocol, caddr, cport, vaddr, vport), 'connection');
    },
    findFromDestination(protocol, daddr, dport, caddr, cport) {
      take(real.findFromDestination(protocol, daddr, dport, caddr, cport));
      return noted(own.findFromDestination(protocol, daddr, dport, caddr, cport), 'connection', false);
    },
    findTemplate(protocol, caddr, vaddr, vport, salt = 0) {
      take(real.findTemplate(protocol, caddr, vaddr, vport, salt));
      return noted(own.findTemplate(protocol, caddr, vaddr, vport, salt), 'template');
    },
    templates(protocol, caddr, vaddr, vport, visit, salt = 0) {
      const rows: Row[] = [];
      real.templates(protocol, caddr, vaddr, vport, (row) => rows.push(row) >= ROWS / 2, salt);
      // The newest is found first, so it is added last.
      for (const row of rows.reverse()) take(row);
      return noted(own.templates(protocol, caddr, vaddr, vport, visit, salt), 'template');
    },
    add(protocol, caddr, cport, vaddr, vport, daddr, dport, flags, salt = 0) {
      if (real.size + own.size - taken.size >= real.capacity) return NONE;
      const row = own.add(protocol, caddr, cport, vaddr, vport, daddr, dport, flags, salt);
      if (row !== NONE) added(row);
      return row;
    },
    invalidateTemplate(row) {
      givenUp();
      own.invalidateTemplate(row);
    },
    remove: (row) => own.remove(row),
    has: (row) => own.has(row),
    setClientPort: (row, port) => own.setClientPort(row, port),
    protocol: (row) => own.protocol(row),
    salt: (row) => own.salt(row),
    cport: (row) => own.cport(row),
    vport: (row) => own.vport(row),
    dport: (row) => own.dport(row),
    copyCaddr: (row, into: Address) => own.copyCaddr(row, into),
    copyVaddr: (row, into: Address) => own.copyVaddr(row, into),
    copyDaddr: (row, into: Address) => own.copyDaddr(row, into),
    select: (row) => own.select(row),
    rows: () => own.rows(),
    touch: (row, at) => own.touch(row, at),
    expires: (row) => own.expires(row),
    armed: (row) => own.armed(row),
    expireNow: (row) => own.expireNow(row),
    expire: (at, onExpired) => own.expire(at, onExpired),
  };
}

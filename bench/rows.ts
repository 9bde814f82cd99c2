/** What the rows of the connection table cost: ns a lookup, ns and bytes a connection. */
import { NONE } from '../src/model/connection.ts';
import { KIND } from '../src/table/layout.ts';
import { ordinaryMemory } from '../src/table/memory.ts';
import { Rows } from '../src/table/rows.ts';
import { type Address, parseAddress } from '../src/wire/address.ts';
import { TCP } from '../src/wire/tcp.ts';
import { type Effort, type Figure, nanoseconds, shuffled, tableSizes } from './measure.ts';

const CLIENT_PORTS = 16;
const TIMEOUT = 900_000;
const NOW = 1000;
const RECORD = 1;

const FAMILIES = {
  IPv4: { client: '10.0.0.0', vip: '192.0.2.80', destination: '10.255.0.1' },
  IPv6: { client: '2001:db8::', vip: '2001:db8:1::80', destination: '2001:db8:2::1' },
};

/** Connections by number: 16 from each of many client addresses. */
class Crowd {
  readonly rows: Rows;
  readonly caddr: Address;
  readonly vaddr: Address;
  readonly daddr: Address;
  readonly #base: number;

  constructor(family: keyof typeof FAMILIES, limit: number) {
    const { client, vip, destination } = FAMILIES[family];
    this.caddr = parseAddress(client)!;
    this.vaddr = parseAddress(vip)!;
    this.daddr = parseAddress(destination)!;
    this.#base = this.caddr[3]!;
    const secrets = Uint32Array.from({ length: 13 }, (_, i) => Math.imul(i + 1, 0x9e3779b1) ^ 0x5eed_0000);
    this.rows = new Rows({ limit, secrets, memory: ordinaryMemory });
    this.rows.records.set(RECORD, this.daddr, 8080);
  }

  /** Makes `caddr` that of the connection, and returns its port. */
  cport(connection: number): number {
    this.caddr[3] = this.#base + Math.floor(connection / CLIENT_PORTS);
    return 1024 + (connection % CLIENT_PORTS);
  }

  add(connection: number): void {
    const { rows } = this;
    const row = rows.add(KIND.LIVE, TCP, this.caddr, this.cport(connection), this.vaddr, 80, RECORD, 0);
    rows.setTimeout(row, TIMEOUT);
    rows.setSeen(row, NOW);
  }

  remove(row: number): void {
    this.rows.end(row, this.rows.track(row));
    this.rows.remove(row);
  }
}

export function rows(effort: Effort): Figure[] {
  const figures: Figure[] = [];
  for (const family of ['IPv4', 'IPv6'] as const)
    for (const size of tableSizes(effort)) figures.push(...measure(effort, family, size));
  return figures;
}

function measure(effort: Effort, family: keyof typeof FAMILIES, size: number): Figure[] {
  const figures: Figure[] = [];
  const figure = (what: string, rest: Omit<Figure, 'name' | 'connections'>) =>
    figures.push({ name: `rows, ${family}: ${what}`, connections: size, ...rest });
  const crowd = new Crowd(family, Math.max(size, 64));
  const { rows, caddr, vaddr, daddr } = crowd;
  for (let i = 0; i < size; i++) crowd.add(i);
  if (size > 1) figure('bytes a connection', { value: rows.bytes / size, unit: 'octets' });
  figure(
    'lookup of a request',
    nanoseconds(effort, 500_000, (calls, from) => {
      for (let i = 0; i < calls; i++) {
        const port = crowd.cport(shuffled(from + i, size));
        if (rows.findRequest(TCP, caddr, port, vaddr, 80) === NONE) throw new Error('lost');
      }
    }),
  );
  figure(
    'lookup of a reply',
    nanoseconds(effort, 500_000, (calls, from) => {
      for (let i = 0; i < calls; i++) {
        const port = crowd.cport(shuffled(from + i, size));
        if (rows.findReply(TCP, daddr, 8080, caddr, port) === NONE) throw new Error('lost');
      }
    }),
  );
  figure(
    'lookup of a stranger',
    nanoseconds(effort, 500_000, (calls, from) => {
      for (let i = 0; i < calls; i++) {
        const port = crowd.cport(shuffled(from + i, size));
        if (rows.findRequest(TCP, caddr, port, vaddr, 81) !== NONE) throw new Error('found');
      }
    }),
  );
  figure(
    'remove and add',
    nanoseconds(effort, 200_000, (calls, from) => {
      for (let i = 0; i < calls; i++) {
        const connection = shuffled(from + i, size);
        const port = crowd.cport(connection);
        crowd.remove(rows.findRequest(TCP, caddr, port, vaddr, 80));
        crowd.add(connection);
      }
    }),
  );
  const pass = (tick: number, visit: (row: number) => void): number => {
    const begin = process.cpuUsage();
    rows.eachDue(0, rows.capacity, tick, visit);
    const { user, system } = process.cpuUsage(begin);
    return (user + system) / 1e3;
  };
  if (size > 1) {
    pass(NOW, () => {});
    figure('a pass over all rows, none of them due', { value: pass(NOW, () => {}), unit: 'ms' });
    const due = (row: number) => crowd.remove(row);
    figure('expiry', { value: (pass(NOW + TIMEOUT + 1, due) * 1e6) / size, unit: 'ns' });
    if (rows.size !== 0) throw new Error('connections outlived their time');
  }
  figure('longest probe', { value: rows.longestProbe, unit: 'rows' });
  return figures;
}

/** Measures the rows of the connection table: time per lookup, time and memory per connection. */
import { NONE } from '../src/model/connection.ts';
import { DestinationRecords } from '../src/table/destination-records.ts';
import { secretsFrom } from '../src/table/homes.ts';
import { KIND } from '../src/table/layout.ts';
import { ordinaryMemory } from '../src/table/memory.ts';
import { Rows } from '../src/table/rows.ts';
import { TCP } from '../src/wire/tcp.ts';
import { Crowd } from './crowd.ts';
import { type Effort, type Figure, nanoseconds, shuffled, tableSizes } from './measure.ts';

const TIMEOUT = 900_000;
const NOW = 1000;
const RECORD = 1;

const FAMILIES = ['IPv4', 'IPv6'] as const;
type Family = (typeof FAMILIES)[number];

export function rows(effort: Effort): Figure[] {
  const figures: Figure[] = [];
  for (const family of FAMILIES)
    for (const size of tableSizes(effort)) figures.push(...measure(effort, family, size));
  return figures;
}

function measure(effort: Effort, family: Family, size: number): Figure[] {
  const figures: Figure[] = [];
  const figure = (what: string, rest: Omit<Figure, 'name' | 'connections'>) =>
    figures.push({ name: `rows, ${family}: ${what}`, connections: size, ...rest });
  const crowd = new Crowd(family);
  const { caddr, vaddr, daddr } = crowd;
  const limit = Math.max(size, 64);
  const records = new DestinationRecords(ordinaryMemory);
  const rows = new Rows({ limit, secrets: secretsFrom(0x5eed), memory: ordinaryMemory, records });
  rows.records.set(RECORD, daddr, 8080);
  const add = (connection: number) => {
    const row = rows.add(
      { protocol: TCP, caddr, cport: crowd.cport(connection), vaddr, vport: 80 },
      { kind: KIND.LIVE, destination: RECORD, track: 0, salt: 0, timeout: 0, seen: 0 },
    );
    rows.setTimeout(row, TIMEOUT);
    rows.setSeen(row, NOW);
  };
  const remove = (row: number) => {
    rows.end(row, rows.track(row));
    rows.remove(row);
  };
  for (let i = 0; i < size; i++) add(i);
  if (size > 1) figure('bytes per connection', { value: rows.bytes / size, unit: 'bytes' });
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
    'lookup of an unknown client',
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
        remove(rows.findRequest(TCP, caddr, port, vaddr, 80));
        add(connection);
      }
    }),
  );
  const pass = (tick: number, visit: (row: number) => void): number => {
    const begin = process.cpuUsage();
    rows.eachDue(0, rows.capacity, tick, (row) => {
      visit(row);
      return true;
    });
    const { user, system } = process.cpuUsage(begin);
    return (user + system) / 1e3;
  };
  if (size > 1) {
    pass(NOW, () => {});
    figure('a pass over all rows, none of them due', { value: pass(NOW, () => {}), unit: 'ms' });
    const due = (row: number) => remove(row);
    figure('expiry', { value: (pass(NOW + TIMEOUT + 1, due) * 1e6) / size, unit: 'ns' });
    if (rows.size !== 0) throw new Error('connections did not expire');
  }
  figure('longest probe', { value: rows.longestProbe, unit: 'rows' });
  return figures;
}

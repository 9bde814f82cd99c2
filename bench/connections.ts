/** Measures the connection table: time per lookup, time and memory per connection. */
import { ConnectionTable } from '../src/director/connections.ts';
import { NONE } from '../src/model/connection.ts';
import { TCP } from '../src/wire/tcp.ts';
import { collectionsDuring } from '../test/support/collections.ts';
import { Crowd } from './crowd.ts';
import { type Effort, type Figure, nanoseconds, shuffled, tableSizes } from './measure.ts';

const TIMEOUT = 900_000;
const NOW = 1000;
/** Number of the destination. */
const RECORD = 1;

const FAMILIES = ['IPv4', 'IPv6'] as const;
type Family = (typeof FAMILIES)[number];

export async function connections(effort: Effort): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const family of FAMILIES)
    for (const size of tableSizes(effort)) figures.push(...(await measure(effort, family, size)));
  return figures;
}

async function measure(effort: Effort, family: Family, size: number): Promise<Figure[]> {
  const figures: Figure[] = [];
  const figure = (what: string, rest: Omit<Figure, 'name' | 'connections'>) =>
    figures.push({ name: `connections, ${family}: ${what}`, connections: size, ...rest });

  const residentBefore = process.memoryUsage.rss();
  const crowd = new Crowd(family);
  const { caddr, vaddr, daddr } = crowd;
  const table = new ConnectionTable({ limit: Math.max(size, 64), seed: 0x5eed });
  table.records.set(RECORD, daddr, 8080);
  const add = (connection: number) => {
    const row = table.add(
      { protocol: TCP, caddr, cport: crowd.cport(connection), vaddr, vport: 80 },
      { destination: RECORD, dport: 8080, flags: 0, salt: 0 },
    );
    table.setTimeout(row, TIMEOUT);
    table.touch(row, NOW);
  };
  for (let i = 0; i < size; i++) add(i);
  if (size > 1) {
    figure('bytes of arrays per connection', { value: table.bytes / size, unit: 'bytes' });
    figure('bytes resident per connection', {
      value: (process.memoryUsage.rss() - residentBefore) / size,
      unit: 'bytes',
    });
  }

  const fromClient = (calls: number, from: number) => {
    for (let i = 0; i < calls; i++) {
      const port = crowd.cport(shuffled(from + i, size));
      if (table.findFromClient(TCP, caddr, port, vaddr, 80) === NONE) throw new Error('lost');
    }
  };
  figure('lookup from the client', nanoseconds(effort, 500_000, fromClient));
  figure(
    'lookup from the destination',
    nanoseconds(effort, 500_000, (calls, from) => {
      for (let i = 0; i < calls; i++) {
        const port = crowd.cport(shuffled(from + i, size));
        if (table.findFromDestination(TCP, daddr, 8080, caddr, port) === NONE) throw new Error('lost');
      }
    }),
  );
  figure(
    'lookup of an unknown client',
    nanoseconds(effort, 500_000, (calls, from) => {
      for (let i = 0; i < calls; i++) {
        const port = crowd.cport(shuffled(from + i, size));
        if (table.findFromClient(TCP, caddr, port, vaddr, 81) !== NONE) throw new Error('found');
      }
    }),
  );
  figure(
    'lookup and touch',
    nanoseconds(effort, 500_000, (calls, from) => {
      for (let i = 0; i < calls; i++) {
        const port = crowd.cport(shuffled(from + i, size));
        table.touch(table.findFromClient(TCP, caddr, port, vaddr, 80), NOW);
      }
    }),
  );
  figure(
    'remove and add',
    nanoseconds(effort, 200_000, (calls, from) => {
      for (let i = 0; i < calls; i++) {
        const connection = shuffled(from + i, size);
        const port = crowd.cport(connection);
        table.remove(table.findFromClient(TCP, caddr, port, vaddr, 80));
        add(connection);
      }
    }),
  );
  const collections = await collectionsDuring(() => fromClient(effort.quick ? 100_000 : 1_000_000, 0));
  figure('collections in lookups', { value: collections, unit: 'collections' });
  const rows = table.size;
  const begin = performance.now();
  table.expire(NOW + TIMEOUT + 1000, () => true);
  if (size > 1) figure('expiry', { value: ((performance.now() - begin) * 1e6) / rows, unit: 'ns' });
  if (table.size !== 0) throw new Error('connections did not expire');
  figure('longest probe', { value: table.longestProbe, unit: 'rows' });
  return figures;
}

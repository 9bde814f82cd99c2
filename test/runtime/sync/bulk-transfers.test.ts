/** Bulk transfers over TLS: what arrives, what strangers can do, and how a transfer goes on. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { BulkFetch } from '../../../src/runtime/sync/bulk-client.ts';
import { BulkServer } from '../../../src/runtime/sync/bulk-server.ts';
import { clientOptions, serverOptions } from '../../../src/runtime/sync/bulk-tls.ts';
import { BulkTransfers } from '../../../src/runtime/sync/bulk-transfers.ts';
import { HELLO_BYTES, writeHello } from '../../../src/sync/bulk-format.ts';
import { deriveKey } from '../../../src/sync/sync-keys.ts';
import { seeded } from '../../support/directed.ts';
import { SyncedDirector } from '../../sync/synced-director.ts';

const WEB = 'tcp 192.0.2.80:80';
const SHOP = 'tcp 192.0.2.80:443';
const HOST = '127.0.0.1';
const [KEY, OTHER] = ['11'.repeat(16), '22'.repeat(16)].map((text) => deriveKey(Buffer.from(text, 'hex')));
/** Streams of the random tests; more of them on demand. */
const STREAMS = Number(process.env['FUZZ_STREAMS'] ?? 200);

const clientOf = (i: number) => `203.0.${113 + (i >> 8)}.${i & 255}:4000`;

/** A director with rules, and `connections` of clients. */
function director(connections: number): SyncedDirector {
  const directed = new SyncedDirector({ maxConnections: 16_384 });
  directed.serve(WEB, ['10.0.0.1:80', '10.0.0.2:80']);
  directed.serve(SHOP, ['10.0.0.1:443', '10.0.0.2:443'], { persistent: 30 });
  directed.sync.setKeys([KEY!]);
  for (let i = 0; i < connections; i++)
    directed.receive(`${clientOf(i)} > 192.0.2.80:${i % 3 === 0 ? 443 : 80} SYN`);
  return directed;
}

const backup = () => director(0).start('backup') as SyncedDirector;

interface Serving extends AsyncDisposable {
  readonly port: number;
}

async function serve(from: SyncedDirector, { keys = [KEY!], isPeer = true } = {}): Promise<Serving> {
  const port = await freePort();
  const server = new BulkServer(
    {
      sync: from.sync,
      session: Buffer.alloc(8, 7),
      keys: () => keys,
      isPeer: () => isPeer,
      clock: () => from.now,
      log: () => {},
    },
    { host: HOST, port },
  );
  await expect.poll(() => server.isListening).toBe(true);
  return { port, [Symbol.asyncDispose]: async () => server[Symbol.dispose]() };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, HOST);
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}

const fetchOf = (into: SyncedDirector, port: number) =>
  new BulkFetch(
    { sync: into.sync, clock: () => into.now, signal: new AbortController().signal },
    { host: HOST, port },
  );

const sorted = ({ connections }: SyncedDirector) => [...connections].sort();
const link = (into: SyncedDirector) => into.sync.link(0, into.director.context.table.places);

test('a director waits 60 s for a peer that sends slowly, and takes what it sends later', async () => {
  const into = backup();
  const frames: Buffer[] = [];
  for (const transfer = director(90).sync.export(0); !transfer.isComplete; ) {
    const frame = transfer.next(0);
    if (frame) frames.push(Buffer.from(frame));
  }
  const sockets: Socket[] = [];
  const slow = createTlsServer(
    serverOptions(() => [KEY!], 3000),
    (socket) => {
      sockets.push(socket);
      socket.write(writeHello({ session: Buffer.alloc(8, 7), place: 0 }));
      socket.write(frames[0]!);
    },
  );
  // A name is not one of the addresses of this host, which are not asked.
  slow.listen(0, HOST);
  await once(slow, 'listening');
  const { port } = slow.address() as { port: number };
  using transfers = new BulkTransfers({
    sync: into.sync,
    session: Buffer.alloc(8),
    clock: () => into.now,
    log: () => {},
    places: () => 1024,
  });
  transfers.configure({ keys: [KEY!], peers: ['localhost'], port });
  transfers.setBackup(true);
  await expect.poll(() => into.sync.counts.bulkTakenEntries).toBeGreaterThan(0);
  const before = into.sync.counts.bulkTakenEntries;
  expect(transfers.isFetching).toBe(true);
  into.now += 60_000;
  expect(transfers.isFetching).toBe(false);
  sockets[0]!.write(frames[1]!);
  await expect.poll(() => into.sync.counts.bulkTakenEntries).toBeGreaterThan(before);
  slow.close();
});

describe('a director that joins', () => {
  test('has all connections and templates of the other one', async () => {
    const [from, into] = [director(3000), backup()];
    await using server = await serve(from);
    await fetchOf(into, server.port).run(KEY!);
    expect(from.connections).toHaveLength(4000);
    expect(sorted(into)).toEqual(sorted(from));
    expect(into.destination(WEB, '10.0.0.1:80').inactiveConnections).toBe(
      from.destination(WEB, '10.0.0.1:80').inactiveConnections,
    );
    await expect.poll(() => from.sync.counts).toMatchObject({ bulkSentEntries: 4000, servedBulks: 1 });
    expect(into.sync.counts).toMatchObject({ bulkTakenEntries: 4000, refusedEntries: 0 });
  });

  test('lets them end when they end on the other one, and templates with their connections', async () => {
    const [from, into] = [director(9), backup()];
    // The timeout of SYN_RECV is 60 s, that of templates 30 s.
    from.wait(20);
    await using server = await serve(from);
    await fetchOf(into, server.port).run(KEY!);
    link(into);
    // Both clocks are between two ticks of their tables then.
    for (const each of [from, into]) each.wait(1);
    for (let s = 21; s < 130; s += 4.9) {
      expect([s, sorted(into).length]).toEqual([s, sorted(from).length]);
      from.wait(4.9);
      into.wait(4.9);
    }
    expect(into.connections).toEqual([]);
  });

  test('keeps what is newer than the transfer', async () => {
    const [from, into] = [director(2), backup()];
    await using server = await serve(from);
    const transfer = fetchOf(into, server.port);
    into.now += 10;
    const client = clientOf(1);
    into.exchange(
      `${client} > 192.0.2.80:80 SYN`,
      `10.0.0.2:80 > ${client} SYN+ACK`,
      `${client} > 192.0.2.80:80 ACK`,
    );
    await transfer.run(KEY!);
    expect(into.connections).toContain(`TCP ESTABLISHED ${client} 192.0.2.80:80 10.0.0.2:80`);
    expect(into.connections).toContainEqual(expect.stringContaining(clientOf(0)));
  });

  test('goes on where a transfer ended', async () => {
    const [from, into] = [director(3000), backup()];
    await using server = await serve(from);
    let limit = 60_000;
    const sockets = new Set<Socket>();
    const proxy = createServer((socket) => {
      const other = connect(server.port, HOST);
      sockets.add(socket).add(other);
      let bytes = 0;
      const end = () => [socket, other].map((each) => each.destroy());
      other.on('data', (chunk) => {
        bytes += chunk.length;
        if (bytes > limit) end();
        else socket.write(chunk);
      });
      socket.on('data', (chunk) => other.write(chunk));
      for (const each of [socket, other]) each.on('close', end).on('error', end);
    }).listen(0, HOST);
    await once(proxy, 'listening');
    const transfer = fetchOf(into, (proxy.address() as { port: number }).port);
    await expect(transfer.run(KEY!)).rejects.toThrow();
    const { place } = transfer;
    expect(place).toBeGreaterThan(0);
    const taken = into.connections.length;
    expect(taken).toBeLessThan(4000);
    limit = Number.POSITIVE_INFINITY;
    await transfer.run(KEY!);
    expect(sorted(into)).toEqual(sorted(from));
    // What had arrived was not sent again.
    expect(into.sync.counts.bulkTakenEntries).toBeLessThan(4000 + 200);
    proxy.close();
    for (const socket of sockets) socket.destroy();
  });

  test('takes nothing from a director with another key, and nothing after its backup daemon stopped', async () => {
    const [from, into] = [director(10), backup()];
    await using server = await serve(from, { keys: [OTHER!] });
    await expect(fetchOf(into, server.port).run(KEY!)).rejects.toThrow();
    await fetchOf(into, server.port).run(OTHER!);
    expect(into.connections).not.toEqual([]);
    into.stop('backup');
    await expect(fetchOf(into, server.port).run(OTHER!)).rejects.toThrow('invalid message');
  });

  test('refuses any stream that is no transfer', async () => {
    const random = seeded(5);
    const into = backup();
    const before = JSON.stringify(into.director.snapshot(0).services);
    const tls = createTlsServer(
      serverOptions(() => [KEY!], 3000),
      (socket) => {
        socket.on('error', () => {});
        const bytes = Buffer.alloc(Math.floor(random() * 400), 0).map(() => Math.floor(random() * 256));
        const hello =
          random() < 0.7 ? writeHello({ session: Buffer.alloc(8, 1), place: 0 }) : Buffer.alloc(0);
        // Half of the streams have the form of frames.
        if (random() < 0.5)
          bytes.set([0, 0, 0, 1, 0, 7, 0, Math.min(bytes.length, 255), 3, 1, 0, 0].slice(0, bytes.length));
        socket.end(Buffer.concat([hello, bytes]));
      },
    ).listen(0, HOST);
    await once(tls, 'listening');
    const { port } = tls.address() as { port: number };
    for (let i = 0; i < STREAMS; i++) await expect(fetchOf(into, port).run(KEY!)).rejects.toThrow();
    expect(into.director.context.table.size).toBeLessThan(STREAMS);
    expect(JSON.stringify(into.director.snapshot(0).services)).toBe(before);
    tls.close();
  });
});

describe('a director that serves transfers', () => {
  test('refuses other hosts, other keys, and what is not TLS', async () => {
    const from = director(10);
    {
      await using server = await serve(from, { isPeer: false });
      await expect(fetchOf(backup(), server.port).run(KEY!)).rejects.toThrow();
      expect(from.sync.counts.refusedBulks).toBe(1);
    }
    await using server = await serve(from);
    await expect(fetchOf(backup(), server.port).run(OTHER!)).rejects.toThrow();
    await expect.poll(() => from.sync.counts.refusedBulks).toBe(2);
    expect(from.sync.counts.bulkSentEntries).toBe(0);
  });

  test('gives clients no session that would outlive a removed key', async () => {
    const keys = [KEY!];
    await using server = await serve(director(3), { keys });
    const options = clientOptions(KEY!);
    const first = connectTls({ host: HOST, port: server.port, ...options, secureOptions: 0 });
    await once(first, 'secureConnect');
    const session = first.getSession();
    expect(first.getTLSTicket()).toBeUndefined();
    first.destroy();
    keys[0] = OTHER!;
    const second = connectTls({ host: HOST, port: server.port, ...options, secureOptions: 0, session });
    await expect(once(second, 'secureConnect')).rejects.toThrowError();
  });

  test('survives any stream of strangers and of peers, and serves afterwards', async () => {
    const random = seeded(3);
    const from = director(100);
    await using server = await serve(from);
    const noise = (size: number) => Buffer.alloc(size).map(() => Math.floor(random() * 256));
    for (let i = 0; i < STREAMS; i++) {
      const isPeer = i % 2 === 0;
      const socket = isPeer
        ? connectTls({ host: HOST, port: server.port, ...clientOptions(KEY!) })
        : connect(server.port, HOST);
      socket.on('error', () => {});
      await once(socket, isPeer ? 'secureConnect' : 'connect');
      const bytes = noise(Math.floor(random() * 2 * HELLO_BYTES));
      if (random() < 0.3) bytes.set(Buffer.from('LVSB\x01\0\0\0').subarray(0, bytes.length));
      socket.end(bytes);
      socket.resume();
      await once(socket, 'close');
    }
    const into = backup();
    await fetchOf(into, server.port).run(KEY!);
    expect(sorted(into)).toEqual(sorted(from));
  });
});

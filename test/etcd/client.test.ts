/** The client against three real members of etcd. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EtcdClient } from '../../src/etcd/client.ts';
import { EtcdError } from '../../src/etcd/etcd-error.ts';
import { Mirror } from '../../src/etcd/mirror.ts';
import { EtcdCluster, etcdMissing } from '../support/etcd-cluster.ts';

const why = etcdMissing();
test('etcd is installed', ({ skip }) => skip(why !== undefined, why));

const failure = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'succeeded',
    (error: unknown) => (error instanceof EtcdError ? error.kind : String(error)),
  );

describe.skipIf(why !== undefined)('three members', () => {
  let cluster: EtcdCluster;
  let client: EtcdClient;

  beforeAll(async () => {
    cluster = await EtcdCluster.start({ words: ['--max-request-bytes', '4000000'] });
    client = cluster.client();
  });
  afterAll(async () => {
    client?.[Symbol.dispose]();
    await cluster?.[Symbol.asyncDispose]();
  });

  const textOf = async (key: string) => (await client.range(key)).values[0]?.value.toString();

  test('a value is read as it was written, and a missing key has none', async () => {
    await client.put('/a/1', 'one \u00e9');
    expect(await textOf('/a/1')).toBe('one \u00e9');
    expect(await client.range('/a/2')).toMatchObject({ values: [], count: 0 });
    await client.put('/a/3', '');
    expect((await client.range('/a/', { isPrefix: true })).values.map(({ key }) => key)).toEqual([
      '/a/1',
      '/a/3',
    ]);
    await client.remove('/a/1');
    expect(await textOf('/a/1')).toBeUndefined();
  });

  test('a transaction with an earlier revision changes nothing, and returns the present value', async () => {
    const put = (value: string) => [{ put: '/b', value }];
    const first = await client.txn([{ key: '/b', modRevision: 0 }], put('1'));
    expect(first.succeeded).toBe(true);
    expect((await client.txn([{ key: '/b', modRevision: 0 }], put('2'))).succeeded).toBe(false);
    const second = await client.txn([{ key: '/b', modRevision: first.revision }], put('2'));
    expect(second.succeeded).toBe(true);
    const third = await client.txn([{ key: '/b', modRevision: first.revision }], put('3'), [{ range: '/b' }]);
    expect(third.ranges[0]!.values[0]).toMatchObject({ modRevision: second.revision });
    expect(await textOf('/b')).toBe('2');
  });

  test('the keys of a lease vanish when it is revoked, and a lease that has ended has no time left', async () => {
    const lease = await client.grantLease(60);
    await client.put('/c', 'x', lease);
    expect(await client.keepAlive(lease)).toBe(60);
    await client.revokeLease(lease);
    expect(await textOf('/c')).toBeUndefined();
    expect(await client.keepAlive(lease)).toBe(0);
    expect(await failure(client.put('/c', 'x', lease))).toBe('refused');
  });

  test('a value that exceeds the limit of etcd is refused, and one beyond that of the client is not read', async () => {
    expect(await failure(client.put('/large', 'x'.repeat(5_000_000)))).toBe('too-large');
    for (let i = 0; i < 4; i++) await client.put(`/large/${i}`, 'x'.repeat(3_500_000));
    expect(await failure(client.range('/large/', { isPrefix: true }))).toBe('too-large');
    for (let i = 0; i < 4; i++) await client.remove(`/large/${i}`);
    await client.put('/still', 'works');
    expect(await textOf('/still')).toBe('works');
  });

  test('a mirror follows changes over the end of a member, a compaction, and a frozen member, and loses none', async () => {
    const seen = new Map<string, number>();
    const errors: (string | undefined)[] = [];
    await client.put('/m/before', 'x');
    using mirror = new Mirror({
      client: cluster.client({ timeout: 1000 }),
      prefix: '/m/',
      changed: (keys) => {
        for (const key of keys) seen.set(key, (seen.get(key) ?? 0) + 1);
      },
      failed: (error) => errors.push(error?.kind),
    });
    await mirror.read();
    mirror.follow();
    const arrives = (key: string) => expect.poll(() => mirror.values.get(key)?.value.toString()).toBe('x');
    expect([...mirror.values.keys()]).toEqual(['/m/before']);
    await client.put('/m/1', 'x');
    await arrives('/m/1');
    // The mirror watches at the first endpoint.
    await cluster.kill(0);
    await client.put('/m/2', 'x');
    await arrives('/m/2');
    await client.remove('/m/before');
    await expect.poll(() => mirror.values.has('/m/before')).toBe(false);
    cluster.startMember(0);
    await cluster.answers();
    // What the mirror watches is frozen: its stream is silent. It notices by comparing.
    cluster.freeze(1);
    await client.put('/m/3', 'x');
    await arrives('/m/3');
    cluster.thaw(1);
    expect(seen.get('/m/1')).toBe(1);
    expect(errors).toContain(undefined);
  });

  test('a mirror of a store that lost its history reads again', async () => {
    await client.put('/n/old', 'x');
    const changed: string[] = [];
    using mirror = new Mirror({
      client,
      prefix: '/n/',
      changed: (keys) => changed.push(...keys),
      failed: () => {},
    });
    await mirror.read();
    await client.remove('/n/old');
    await client.put('/n/new', 'x');
    const { revision } = await client.range('/n/new');
    cluster.ctl('compaction', String(revision));
    mirror.follow();
    await expect.poll(() => [...mirror.values.keys()]).toEqual(['/n/new']);
    expect(changed).toEqual(['/n/old', '/n/old', '/n/new']);
  });

  test('without a quorum requests fail in time, and work again when it is back', async () => {
    await cluster.kill(1);
    await cluster.kill(2);
    expect(await failure(client.put('/q', 'x'))).toBe('timeout');
    expect(await failure(client.range('/still'))).toMatch(/^(timeout|unreachable)$/);
    cluster.startMember(1);
    cluster.startMember(2);
    await cluster.answers();
    expect(await textOf('/still')).toBe('works');
  });

  test('with authentication a client needs a user, and gets a new token when the old one is void', async () => {
    for (const words of [
      ['role', 'add', 'root'],
      ['user', 'add', 'root:secret'],
      ['user', 'grant-role', 'root', 'root'],
      ['role', 'add', 'reader'],
      ['role', 'grant-permission', 'reader', 'read', '--prefix=true', '/u/'],
      ['user', 'add', 'reader:word'],
      ['user', 'grant-role', 'reader', 'reader'],
      ['auth', 'enable'],
    ])
      cluster.ctl(...words);
    expect(await failure(client.range('/u/'))).toBe('not-permitted');
    using root = cluster.client({ user: { name: 'root', password: 'secret' } });
    using reader = cluster.client({ user: { name: 'reader', password: 'word' } });
    using wrong = cluster.client({ user: { name: 'reader', password: 'guess' } });
    await root.put('/u/1', 'x');
    expect((await reader.range('/u/1')).count).toBe(1);
    expect(await failure(reader.put('/u/1', 'y'))).toBe('not-permitted');
    expect(await failure(reader.range('/still'))).toBe('not-permitted');
    expect(await failure(wrong.range('/u/1'))).toBe('not-permitted');
    // Simple tokens end with the members that have made them.
    for (const index of [0, 1, 2]) await cluster.kill(index);
    for (const index of [0, 1, 2]) cluster.startMember(index);
    await cluster.answers({ user: { name: 'root', password: 'secret' } });
    expect((await reader.range('/u/1')).count).toBe(1);
    cluster.ctl('--user', 'root:secret', 'auth', 'disable');
    expect((await reader.range('/still')).count).toBe(1);
  });
});

test('an endpoint that is no etcd is reported, and the next one is asked', async () => {
  const answers = [
    '<html>',
    '"not found"',
    '[]',
    '{"header":{}}',
    '{"kvs":[{"key":5}]}',
    '{"count":"-1"}',
    'null',
  ];
  for (const answer of answers) {
    await using server = createServer((_request, response) => response.end(answer)).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    using client = new EtcdClient({ endpoints: [`http://127.0.0.1:${port}`], timeout: 1000 });
    const expected =
      answer === '"not found"' ? 'refused' : answer === '{"header":{}}' ? 'succeeded' : 'invalid-answer';
    expect([answer, await failure(client.range('x'))]).toEqual([answer, expected]);
    server.closeAllConnections();
  }
});

test('an endpoint that sends without end is left', async () => {
  await using server = createServer((_request, response) => {
    const send = () => {
      while (!response.destroyed && response.write('x'.repeat(1 << 20)));
      response.once('drain', send);
    };
    send();
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  using client = new EtcdClient({ endpoints: [`http://127.0.0.1:${port}`] });
  expect(await failure(client.range('x'))).toBe('too-large');
  const ending = new AbortController();
  expect(await failure(client.watch('x', 1, ending.signal).next())).toBe('too-large');
  server.closeAllConnections();
});

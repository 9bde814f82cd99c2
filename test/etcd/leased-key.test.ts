/** A key with a lease, in a real etcd. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EtcdClient } from '../../src/etcd/client.ts';
import { LeasedKey, type LeasedKeyOptions } from '../../src/etcd/leased-key.ts';
import { EtcdCluster, etcdMissing } from '../support/etcd-cluster.ts';
import { PATIENCE } from '../support/program.ts';

const why = etcdMissing();
test('etcd is installed', ({ skip }) => skip(why !== undefined, why));

describe.skipIf(why !== undefined)('a key with a lease', () => {
  let cluster: EtcdCluster;
  let client: EtcdClient;
  beforeAll(async () => {
    cluster = await EtcdCluster.start({ members: 1 });
    client = cluster.client();
  });
  afterAll(async () => {
    client?.[Symbol.dispose]();
    await cluster?.[Symbol.asyncDispose]();
  });

  const conflicts = new Map<string, boolean>();
  /** A process whose values begin with its name. */
  const process = (name: string, key: string, more: Partial<LeasedKeyOptions> = {}) =>
    new LeasedKey({
      ...{
        client,
        key,
        leaseSeconds: 2,
        period: 200,
        value: () => `${name} up`,
        lastValue: () => `${name} left`,
      },
      isOwn: (value) => value.toString().startsWith(name),
      failed: () => {},
      conflict: (isTaken) => conflicts.set(name, isTaken),
      ...more,
    });
  const textOf = async (key: string) => (await client.range(key)).values[0]?.value.toString();
  const becomes = (key: string, text: string | undefined) =>
    expect.poll(() => textOf(key), { timeout: PATIENCE }).toBe(text);

  test('follows its value, outlives its lease while it is kept alive, and vanishes afterwards', async () => {
    let text = '1';
    using key = process('a', '/a', { value: () => text });
    key.start();
    await becomes('/a', '1');
    text = '2';
    await becomes('/a', '2');
    await new Promise((resolve) => setTimeout(resolve, 3000));
    expect(await textOf('/a')).toBe('2');
    key[Symbol.dispose]();
    await becomes('/a', undefined);
  });

  test('of another process is not replaced, and that of an earlier run of the same is', async () => {
    using first = process('b', '/b');
    first.start();
    await becomes('/b', 'b up');
    using other = process('c', '/b');
    other.start();
    await expect.poll(() => conflicts.get('c'), { timeout: PATIENCE }).toBe(true);
    first[Symbol.dispose]();
    using second = process('b', '/b', { value: () => 'b again' });
    second.start();
    await becomes('/b', 'b again');
    await second.leave();
    await becomes('/b', 'c up');
    expect(conflicts.get('c')).toBe(false);
  });

  test('that leaves is removed at once, or has its last value until the end of its lease', async () => {
    using now = process('d', '/d', { leaseSeconds: 60 });
    now.start();
    await becomes('/d', 'd up');
    await now.leave();
    expect(await textOf('/d')).toBeUndefined();
    using later = process('d', '/d');
    later.start();
    await becomes('/d', 'd up');
    await later.leave(true);
    expect(await textOf('/d')).toBe('d left');
    await becomes('/d', undefined);
  });

  test('that someone removes is written again', async () => {
    using key = process('e', '/e', { rewrite: 500 });
    key.start();
    await becomes('/e', 'e up');
    await client.remove('/e');
    await becomes('/e', 'e up');
  });
});

/** Roles of directors in groups of VIPs, by the keys in a real etcd. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Keys } from '../../../src/cluster/keys.ts';
import { viewOf } from '../../../src/cluster/view.ts';
import type { EtcdClient } from '../../../src/etcd/client.ts';
import { LeasedKey } from '../../../src/etcd/leased-key.ts';
import { Mirror } from '../../../src/etcd/mirror.ts';
import { ClusterRoles, type GroupReadiness } from '../../../src/runtime/cluster/cluster-roles.ts';
import { EtcdCluster, etcdMissing } from '../../support/etcd-cluster.ts';
import { PATIENCE } from '../../support/program.ts';

const why = etcdMissing();
test('etcd is installed', ({ skip }) => skip(why !== undefined, why));

/** What a director does for its roles, without forwarding. */
class Candidate implements Disposable {
  readonly roles: ClusterRoles;
  readonly mirror: Mirror;
  readonly member: LeasedKey;
  readonly instance = randomUUID();
  groups = [{ name: 'web', active: 1 }];
  readiness: GroupReadiness = 'all';
  isTrusted = true;
  vips = 'vips';
  announces = true;
  readonly #timer: NodeJS.Timeout;

  constructor(client: EtcdClient, keys: Keys, node: string) {
    const { instance } = this;
    const value = JSON.stringify({
      ...{ node, instance, state: 'active', generation: 1, isReady: true },
      ...{ version: '1', addresses: [], since: 'now' },
    });
    this.member = new LeasedKey({
      ...{ client, key: keys.member(node), leaseSeconds: 2, period: 200 },
      ...{ value: () => value, lastValue: () => value, isOwn: () => true },
      ...{ failed: () => {}, conflict: () => {} },
    });
    this.mirror = new Mirror({
      ...{ client, prefix: keys.state, failed: () => {} },
      changed: (changed) => {
        this.roles?.seen(changed);
        void this.roles?.update();
      },
    });
    this.roles = new ClusterRoles(
      {
        ...{ client, keys, node, instance, values: this.mirror.values },
        view: () => (this.isTrusted ? viewOf(keys, this.mirror.values) : undefined),
        lease: () => this.member.lease,
        groups: () => this.groups,
        announcements: {
          groupReadiness: () => this.readiness,
          groupId: () => this.vips,
          announcesGroup: () => this.announces,
        },
        ...{ changed: () => {}, event: () => {}, failed: () => {}, log: () => {} },
      },
      {},
    );
    this.mirror.follow();
    this.member.start();
    this.#timer = setInterval(() => void this.roles.update(), 100);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.roles.close();
    this.mirror[Symbol.dispose]();
    this.member[Symbol.dispose]();
  }
}

describe.skipIf(why !== undefined)('directors that share a group', () => {
  let etcd: EtcdCluster;
  let client: EtcdClient;
  beforeAll(async () => {
    etcd = await EtcdCluster.start({ members: 1 });
    client = etcd.client();
  });
  afterAll(async () => {
    client?.[Symbol.dispose]();
    await etcd?.[Symbol.asyncDispose]();
  });

  const becomes = (candidate: Candidate, role: string | undefined, group = 'web') =>
    expect.poll(() => candidate.roles.role(group), { timeout: PATIENCE }).toBe(role);
  const valuesIn = async (keys: Keys) =>
    (await client.range(keys.slots, { isPrefix: true })).values.map(({ value }) =>
      JSON.parse(value.toString()),
    );
  const slotsIn = async (keys: Keys) =>
    (await client.range(keys.slots, { isPrefix: true })).values
      .map(({ key, value }) => [key.slice(keys.slots.length), JSON.parse(value.toString()).node])
      .sort();

  test('keys that name no place of a group change nothing, and other places of a director are given up', async () => {
    const keys = new Keys('foreign');
    using first = new Candidate(client, keys, 'd1');
    await becomes(first, 'active');
    const value = JSON.stringify({ node: 'd1', instance: first.instance, isKept: false, announced: '' });
    const names = ['x', 'web', 'web/00', 'web/-1', 'web/64', 'web/99999', 'web/1e3', 'a/b/0', 'web/', '/0'];
    for (const name of names) await client.put(keys.slots + name, value);
    const others = ['web/1', 'web/63', ...Array.from({ length: 100 }, (_, i) => `gone${i}/0`)];
    for (const name of others) await client.put(keys.slots + name, value);
    const ignored = names.map((name) => [name, 'd1']);
    await expect
      .poll(() => slotsIn(keys), { timeout: PATIENCE })
      .toEqual([...ignored, ['web/0', 'd1']].sort());
    expect(viewOf(keys, first.mirror.values).invalid).toHaveLength(names.length);
    expect(first.roles.role('web')).toBe('active');
  });

  test('a director is no spare until another one announces the same VIPs', async () => {
    const keys = new Keys('announced');
    using first = new Candidate(client, keys, 'd1');
    await becomes(first, 'active');
    using second = new Candidate(client, keys, 'd2');
    await becomes(second, 'spare');
    // A configuration gives the group another VIP, and the second director has it first.
    second.vips = 'more';
    expect(second.roles.role('web')).toBeUndefined();
    first.announces = false;
    first.vips = 'more';
    await expect.poll(async () => (await valuesIn(keys))[0]?.announced, { timeout: PATIENCE }).toBe('');
    expect(second.roles.role('web')).toBeUndefined();
    first.announces = true;
    await becomes(second, 'spare');
    second.announces = false;
    first.readiness = 'none';
    const left = first.roles.yield();
    await becomes(second, 'active');
    second.announces = true;
    await left;
    expect((await valuesIn(keys))[0]).toMatchObject({ node: 'd2', announced: 'more' });
  });

  test('a director that gives up its places goes on when etcd loses the cluster meanwhile', async () => {
    const keys = new Keys('emptied');
    using first = new Candidate(client, keys, 'd1');
    await becomes(first, 'active');
    using second = new Candidate(client, keys, 'd2');
    await becomes(second, 'spare');
    second.readiness = 'none';
    first.readiness = 'none';
    const yielded = first.roles.yield();
    await expect.poll(() => slotsIn(keys), { timeout: PATIENCE }).toEqual([]);
    first.isTrusted = false;
    await yielded;
  });
});

import { expect, test } from 'vitest';
import { Keys } from '../../../src/cluster/keys.ts';
import { viewOf } from '../../../src/cluster/view.ts';
import type { KeyValue } from '../../../src/etcd/answers.ts';
import { RoleDelays } from '../../../src/runtime/cluster/role-delays.ts';

const keys = new Keys('web');
/** Directors by their generations. */
const view = (generations: Readonly<Record<string, number>>) =>
  viewOf(
    keys,
    new Map(
      Object.entries(generations).map(([node, generation]): [string, KeyValue] => {
        const common = { node, generation, instance: 'x', state: 'active', isReady: true, version: '1' };
        const value = Buffer.from(JSON.stringify({ ...common, addresses: [], since: 'now' }));
        return [keys.member(node), { key: keys.member(node), value, modRevision: 1, createRevision: 1 }];
      }),
    ),
  );

test('a director is a spare 1 s after other directors have taken all places', () => {
  const delays = new RoleDelays(1);
  expect(delays.untilSpare('a', 1000)).toBe(1000);
  expect(delays.untilSpare('a', 1150)).toBe(850);
  expect(delays.untilSpare('b', 1150)).toBe(1000);
  expect(delays.untilSpare('a', 2000)).toBe(0);
  delays.notFull('a');
  expect(delays.untilSpare('a', 2100)).toBe(1000);
  delays.forget('a');
  expect(delays.untilSpare('a', 3200)).toBe(1000);
});

test('VIPs that a new configuration moves stay until the directors of their group have it', () => {
  const delays = new RoleDelays(1);
  expect(delays.isSettling('a', ['d1'], view({ d1: 1 }), 1, 0)).toBe(false);
  // This director is the first that has the next generation.
  expect(delays.isSettling('a', ['d1', undefined], view({ d1: 1 }), 2, 1000)).toBe(true);
  expect(delays.isSettling('a', ['d1'], view({ d1: 1 }), 2, 60_000)).toBe(true);
  expect(delays.isSettling('a', ['d1'], view({ d1: 2 }), 2, 61_000)).toBe(true);
  expect(delays.isSettling('a', ['d1'], view({ d1: 2 }), 2, 62_000)).toBe(false);
  // The directors of the group were the first.
  expect(delays.isSettling('a', ['d1'], view({ d1: 3 }), 3, 70_000)).toBe(true);
  expect(delays.isSettling('a', ['d1'], view({ d1: 3 }), 3, 72_000)).toBe(false);
  // One that does not run has a place that is kept for it.
  expect(delays.isSettling('b', ['d2'], view({ d1: 3 }), 3, 80_000)).toBe(true);
});

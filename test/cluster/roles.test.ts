import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Keys } from '../../src/cluster/keys.ts';
import {
  areAnnouncedByOthers,
  candidatesOf,
  claimsOf,
  holdersOf,
  placesOf,
} from '../../src/cluster/roles.ts';
import { viewOf } from '../../src/cluster/view.ts';
import type { KeyValue } from '../../src/etcd/answers.ts';

const keys = new Keys('web');
const NODES = ['d1', 'd2', 'd3', 'd4'];
const view = (values: Readonly<Record<string, unknown>>) =>
  viewOf(
    keys,
    new Map(
      Object.entries(values).map(([key, value]): [string, KeyValue] => [
        keys.state + key,
        { key: keys.state + key, value: Buffer.from(JSON.stringify(value)), modRevision: 1 } as KeyValue,
      ]),
    ),
  );
const member = (node: string, more = {}) => ({
  node,
  instance: `${node}-1`,
  state: 'active',
  generation: 1,
  isReady: true,
  version: '1',
  addresses: [],
  since: 'now',
  ...more,
});
const slot = (node: string, more = {}) => ({
  node,
  instance: `${node}-1`,
  isKept: false,
  announced: 'vips',
  ...more,
});
const always = () => true;

test('a place belongs to a director that runs, or that keeps it for its next process', () => {
  const present = view({
    'nodes/d3': { time: 'now', author: 'me' },
    'members/d1': member('d1'),
    'members/d2': member('d2', { instance: 'd2-2' }),
    'slots/web/0': slot('d1'),
    'slots/web/1': slot('d2'),
    'slots/web/2': slot('d3', { isKept: true }),
    'slots/web/3': slot('d4'),
    'slots/web/4': slot('d1'),
    // No member of the cluster.
    'slots/web/5': slot('d9', { isKept: true }),
    'slots/web/6': { node: 1 },
    'slots/web/x': slot('d1'),
  });
  expect(placesOf(present, 'web', 6).holders).toEqual(['d1', undefined, 'd3', undefined, 'd1', undefined]);
  expect(holdersOf(present)).toEqual([{ name: 'web', holders: ['d1', 'd3', 'd1'] }]);
  expect(present.invalid).toEqual([`${keys.slots}web/6`, `${keys.slots}web/x`]);
});

test('a group is announced by others when they have all places, and announce the same VIPs', () => {
  const members = { 'members/d1': member('d1'), 'members/d2': member('d2') };
  const both = view({ ...members, 'slots/web/0': slot('d1'), 'slots/web/1': slot('d2') });
  expect(areAnnouncedByOthers(both, 'web', 2, 'd3', 'vips')).toBe(true);
  expect(areAnnouncedByOthers(both, 'web', 2, 'd3', 'other')).toBe(false);
  expect(areAnnouncedByOthers(both, 'web', 2, 'd2', 'vips')).toBe(false);
  expect(areAnnouncedByOthers(both, 'web', 3, 'd3', 'vips')).toBe(false);
  const late = view({ ...members, 'slots/web/0': slot('d1'), 'slots/web/1': slot('d2', { announced: '' }) });
  expect(areAnnouncedByOthers(late, 'web', 2, 'd3', 'vips')).toBe(false);
});

test('a director that is paused, ends, is not ready or has no BIRD takes no place', () => {
  const present = view({
    'members/d1': member('d1'),
    'members/d2': member('d2', { isReady: false }),
    'members/d3': member('d3', { state: 'left' }),
    'members/d4': member('d4'),
    'members/d5': member('d5', { cannotAnnounce: true }),
    'paused/d4': { time: 'now', author: 'me' },
  });
  expect(candidatesOf(present)).toEqual(['d1']);
});

test('places spread over the directors, and the second one waits for the first', () => {
  const free = (name: string) => ({ name, holders: [undefined] });
  const groups = [free('a'), free('b'), free('c')];
  const claims = (own: string) => Object.fromEntries(claimsOf(groups, NODES.slice(0, 3), own, always));
  expect(claims('d1')).toEqual({
    a: { place: 0, rank: 0 },
    b: { place: 0, rank: 2 },
    c: { place: 0, rank: 1 },
  });
  expect(claims('d2')['b']).toEqual({ place: 0, rank: 0 });
  expect(claims('d3')['c']).toEqual({ place: 0, rank: 0 });
  // One that has a place elsewhere comes last.
  const held = [{ name: 'x', holders: ['d1'] }, free('a')];
  expect(claimsOf(held, NODES, 'd1', always).get('a')).toEqual({ place: 0, rank: 3 });
  expect(claimsOf(held, NODES, 'd2', always).get('a')).toEqual({ place: 0, rank: 0 });
  expect(claimsOf(held, NODES, 'd2', () => false).size).toBe(0);
});

test('each free place is claimed first by one director at most, and by no holder of the group', () => {
  const node = fc.constantFrom(undefined, ...NODES);
  const group = fc.record({
    name: fc.string({ minLength: 1 }),
    holders: fc.array(node, { minLength: 1, maxLength: 4 }),
  });
  fc.assert(
    fc.property(
      fc.uniqueArray(group, { selector: ({ name }) => name }),
      fc.subarray(NODES),
      (groups, ready) => {
        const taken = new Set<string>();
        for (const own of ready)
          for (const [name, { place, rank }] of claimsOf(groups, ready, own, always)) {
            const { holders } = groups.find((each) => each.name === name)!;
            expect(holders[place]).toBeUndefined();
            expect(holders).not.toContain(own);
            if (rank > 0) continue;
            expect(taken.has(`${name}/${place}`)).toBe(false);
            taken.add(`${name}/${place}`);
          }
      },
    ),
  );
});

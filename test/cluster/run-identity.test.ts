import { expect, test } from 'vitest';
import { RunIdentity } from '../../src/cluster/run-identity.ts';

const T1 = '2026-01-01T00:00:01.000Z';
const T2 = '2026-01-01T00:00:02.000Z';

test('the key of an earlier run with the same copy is that of this director, and one with another copy is not', () => {
  const [earlier, now, other] = [
    new RunIdentity('a', T1),
    new RunIdentity('a', T2),
    new RunIdentity('b', T1),
  ];
  expect([now.isOwn(earlier), now.isOwn(other), now.isOwn(undefined)]).toEqual([true, false, false]);
  // A release without copies.
  expect(now.isOwn({ instance: 'x', since: T1 })).toBe(false);
});

test('a run that a later one with a duplicate of its copy has displaced leaves the key to it', () => {
  const [first, second] = [new RunIdentity('a', T1), new RunIdentity('a', T2)];
  expect(first.isDisplaced(undefined, second)).toBe(false);
  expect(first.isOwn(second)).toBe(true);
  expect(first.isDisplaced(first, second)).toBe(true);
  expect(first.isOwn(second)).toBe(false);
  // An etcd that was restored from a backup has the former run.
  expect(second.isDisplaced(second, first)).toBe(true);
  expect(second.isOwn(first)).toBe(true);
});

test('a key that vanishes or remains displaces nothing', () => {
  const run = new RunIdentity('a', T1);
  expect([run.isDisplaced(run, undefined), run.isDisplaced(run, run)]).toEqual([false, false]);
});

test('an earlier value of this run is replaced, as an etcd that was restored from a backup has it', () => {
  const run = new RunIdentity('a', T1);
  const { instance, copy, since } = run;
  const stored = { instance, copy, since, generation: 1 };
  expect(run.isReplaced(stored, stored, 1)).toBe(false);
  expect(run.isReplaced(undefined, stored, 2)).toBe(true);
  expect(run.isReplaced(stored, undefined, 2)).toBe(false);
  expect(run.isReplaced(undefined, { ...stored, instance: 'other' }, 2)).toBe(false);
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Keys } from '../../src/cluster/keys.ts';
import { ViewReader, viewOf } from '../../src/cluster/view.ts';
import type { KeyValue } from '../../src/etcd/answers.ts';

const keys = new Keys('web');
const stored = (key: string, value: unknown): KeyValue => ({
  ...{ key, modRevision: 1, createRevision: 1 },
  value: Buffer.from(JSON.stringify(value)),
});
const NOTE = { time: 't', author: 'a' };
const MEMBER = {
  ...{ node: 'd1', instance: 'x', state: 'active', generation: 1, isReady: true },
  ...{ version: '1', addresses: [], since: 'now' },
};
const VALUES = [
  undefined,
  NOTE,
  MEMBER,
  { node: 'd1', instance: 'x', isKept: false, announced: '' },
  [],
  'x',
];
const KEYS = [
  ...[keys.meta, keys.config, keys.halt(3), keys.rules, keys.slots],
  ...['d1', 'd2', ''].flatMap((name) => [
    keys.node(name),
    keys.member(name),
    keys.paused(name),
    keys.evicted(name),
    keys.slots + name,
    keys.slot(name, 0),
  ]),
];

test('changes one after the other lead to the view of all keys at once', () => {
  const change = fc.tuple(fc.constantFrom(...KEYS), fc.constantFrom(...VALUES));
  fc.assert(
    fc.property(fc.array(fc.array(change)), (rounds) => {
      const values = new Map<string, KeyValue>();
      const reader = new ViewReader(keys);
      for (const changes of rounds) {
        for (const [key, value] of changes)
          if (value === undefined) values.delete(key);
          else values.set(key, stored(key, value));
        const view = reader.read(
          values,
          changes.map(([key]) => key),
        );
        const whole = viewOf(keys, values);
        expect({ ...view, invalid: view.invalid.toSorted() }).toEqual({
          ...whole,
          invalid: whole.invalid.toSorted(),
        });
      }
    }),
  );
});

test('only keys that have changed are read, and at most 1000 invalid ones are named', () => {
  const reader = new ViewReader(keys);
  const names = Array.from({ length: 60_000 }, (_, i) => keys.slots + i);
  const first = reader.read(new Map(names.map((key) => [key, stored(key, NOTE)])), names);
  expect(first.invalid).toHaveLength(1000);
  const member = keys.member('d1');
  const read: string[] = [];
  const values = {
    get: (key: string) => {
      read.push(key);
      return stored(key, MEMBER);
    },
  };
  const view = reader.read(values, [member]);
  expect([...view.members.keys()]).toEqual(['d1']);
  expect(first.members.size).toBe(0);
  expect(read).toEqual([member]);
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Keys } from '../../src/cluster/keys.ts';
import {
  answerOf,
  generationOf,
  logEntryOf,
  MAX_CONFIG_BYTES,
  memberOf,
  metaOf,
  noteOf,
  pointerOf,
  proposalOf,
} from '../../src/cluster/records.ts';
import { viewOf } from '../../src/cluster/view.ts';

const READERS = { answerOf, generationOf, logEntryOf, memberOf, metaOf, noteOf, pointerOf, proposalOf };
const json = (value: unknown) => Buffer.from(JSON.stringify(value));
const MEMBER = {
  node: 'd1',
  instance: 'x',
  state: 'active',
  generation: 3,
  isReady: true,
  version: '1',
  addresses: ['192.0.2.1'],
  since: 'now',
};

test('no value makes a reader throw', () => {
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array().map(Buffer.from), fc.json().map(Buffer.from)), (value) => {
      for (const read of Object.values(READERS)) read(value as Buffer);
    }),
  );
});

test('a record is read back, and one with a field of another type is none', () => {
  expect(memberOf(json(MEMBER))).toEqual(MEMBER);
  const rejected = { generation: 4, error: 'why' };
  expect(memberOf(json({ ...MEMBER, rejected }))).toEqual({ ...MEMBER, rejected });
  for (const [key, value] of Object.entries({
    node: '../x',
    state: 'other',
    generation: -1,
    isReady: 1,
    addresses: [1],
    rejected: null,
    since: undefined,
  }))
    expect([key, memberOf(json({ ...MEMBER, [key]: value }))]).toEqual([key, undefined]);
});

test('control characters of texts are replaced, but for those of a configuration', () => {
  expect(memberOf(json({ ...MEMBER, version: 'a\u001b[2Jb' }))?.version).toBe('a\ufffd[2Jb');
  const generation = { generation: 1, time: '', author: '', note: '', text: 'a:\n\tb\r\n' };
  expect(generationOf(json(generation))).toEqual(generation);
});

test('values beyond the limits are no records', () => {
  const generation = { generation: 1, time: '', author: '', note: '', text: 'x'.repeat(MAX_CONFIG_BYTES) };
  expect(generationOf(json(generation))).toBeDefined();
  expect(generationOf(json({ ...generation, text: `${generation.text}x` }))).toBeUndefined();
  expect(memberOf(json({ ...MEMBER, more: 'x'.repeat(20_000) }))).toBeUndefined();
});

test('a view has the records, and names the keys of what is none', () => {
  const keys = new Keys('web');
  const values = new Map(
    [
      [keys.member('d1'), json(MEMBER)],
      [keys.member('d2'), json(MEMBER)],
      [keys.config, json([])],
      [keys.paused('d1'), json({ time: 't', author: 'a' })],
      [keys.halt(7), Buffer.from('d1')],
    ].map(([key, value]) => [
      key as string,
      { key: key as string, value: value as Buffer, modRevision: 1, createRevision: 1 },
    ]),
  );
  const view = viewOf(keys, values);
  expect([...view.members.keys()]).toEqual(['d1']);
  expect([...view.paused.keys()]).toEqual(['d1']);
  expect([...view.halted]).toEqual([7]);
  expect(view.config).toBeUndefined();
  expect(view.invalid.toSorted()).toEqual([keys.config, keys.member('d2')].toSorted());
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Keys } from '../../src/cluster/keys.ts';
import {
  answerOf,
  generationOf,
  logEntryOf,
  MAX_ANNOUNCED,
  MAX_CONFIG_BYTES,
  memberOf,
  metaOf,
  noteOf,
  pointerOf,
  proposalOf,
} from '../../src/cluster/records.ts';
import { nodesOf, viewOf } from '../../src/cluster/view.ts';

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

test('what a member announces is addresses, of limited number, and its load is whole numbers', () => {
  const load = { connections: 7, newConnections: 1, inOctets: 900 };
  const full = { ...MEMBER, announced: { count: 300, vips: ['192.0.2.9', '2001:db8::9'] }, load };
  expect(memberOf(json(full))).toEqual(full);
  const many = Array.from({ length: MAX_ANNOUNCED + 1 }, (_, i) => `192.0.2.${i}`);
  for (const vips of [['x'], ['192.0.2.9/32'], [7], '192.0.2.9', ['192.0.2.9', '192.0.2.9'], many])
    expect(memberOf(json({ ...full, announced: { count: 1, vips } }))).toBeUndefined();
  for (const wrong of [null, {}, { ...load, inOctets: 0.5 }, { ...load, connections: -1 }])
    expect(memberOf(json({ ...full, load: wrong }))).toBeUndefined();
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

test('all directors are listed, with the states that operators and leases have given them', () => {
  const keys = new Keys('web');
  const note = json({ time: 't', author: 'a' });
  const member = (node: string, state = 'active') => json({ ...MEMBER, node, state });
  const view = viewOf(
    keys,
    new Map(
      [
        ...['d1', 'd2', 'd3', 'd10'].map((node) => [keys.node(node), note] as const),
        [keys.member('d1'), member('d1')],
        [keys.member('d2'), member('d2', 'left')],
        [keys.paused('d3'), note],
        [keys.evicted('d4'), note],
      ].map(([key, value]) => [
        key as string,
        { key: key as string, value: value as Buffer, modRevision: 1, createRevision: 1 },
      ]),
    ),
  );
  expect(nodesOf(view).map(({ node, state }) => `${node} ${state}`)).toEqual([
    'd1 online',
    'd2 offline',
    'd3 paused',
    'd4 evicted',
    'd10 offline',
  ]);
});

import { expect, test } from 'vitest';
import type { KeyValue } from '../../../src/etcd/answers.ts';
import { InvalidRecords } from '../../../src/runtime/cluster/invalid-records.ts';

test('each invalid value is reported once, and a limited number is remembered', () => {
  const values = new Map<string, KeyValue>();
  const put = (key: string, modRevision: number) =>
    values.set(key, { key, modRevision, value: Buffer.alloc(0), createRevision: 1 });
  const lines: unknown[] = [];
  const records = new InvalidRecords(values, (_, event, fields) => lines.push([event, fields?.['key']]));
  put('a', 1);
  for (let i = 0; i < 3; i++) records.report('a');
  expect(lines).toEqual([['cluster-record-ignored', 'a']]);
  put('a', 2);
  records.report('a');
  records.report('b');
  records.report('b');
  expect(records.count).toBe(3);
  for (let i = 0; i < 20_000; i++) records.report(`c${i}`);
  records.report('a');
  expect(records.count).toBe(20_004);
});

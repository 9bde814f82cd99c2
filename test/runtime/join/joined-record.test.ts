/** The servers that have joined, from one director to the next. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Left } from '../../../src/join/membership.ts';
import { JoinedRecord } from '../../../src/runtime/join/joined-record.ts';

const LEFT: Left = {
  ...{ server: 'rs1', run: '1111111111111111', state: 'up', weight: 70, applied: 35 },
  service: { protocol: 'tcp', address: '192.0.2.1', port: 80 },
  destination: { address: '10.0.0.1', port: 80 },
  options: { method: 'dr' },
  end: { earliest: 1, latest: 2 },
};

let folder: string;
let logged: string[];
let record: JoinedRecord;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lvs-joined-'));
  logged = [];
  record = new JoinedRecord(join(folder, 'director.sock'), (_level, event) => logged.push(event));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const path = () => join(folder, 'director.sock.joined');

test('it is read as it was written, and no other user can read it', async () => {
  await record.write([LEFT]);
  expect(record.read()).toEqual([LEFT]);
  expect(statSync(path()).mode & 0o777).toBe(0o600);
  await record.write([]);
  expect(record.read()).toEqual([]);
  expect(() => readFileSync(path())).toThrow('ENOENT');
  expect(logged).toEqual([]);
});

test.each(['', '{', '{"version":2,"placements":[]}', '{"version":1,"placements":[{"server":"a b"}]}'])(
  'the file %j is ignored, and reported',
  (text) => {
    writeFileSync(path(), text);
    expect(record.read()).toEqual([]);
    expect(logged).toEqual(['joined-record-ignored']);
  },
);

test('a folder that cannot be written is reported once', async () => {
  rmSync(folder, { recursive: true });
  await record.write([LEFT]);
  await record.write([LEFT]);
  expect(logged).toEqual(['joined-record-failed']);
});

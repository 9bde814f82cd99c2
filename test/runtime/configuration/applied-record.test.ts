/** What a director records for the next one. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { AppliedRecordFile, NO_RECORD } from '../../../src/runtime/configuration/applied-record.ts';
import { pack, unpacked } from '../../../src/runtime/configuration/packed.ts';
import { type Draining, Drains, later } from '../../../src/runtime/drains.ts';

const SERVICE = { protocol: 'tcp', address: '192.0.2.1', port: 80 } as const;
const drain = (server: number, deadline: number): Draining => ({
  drain: { service: SERVICE, destination: { address: `10.0.0.${server}`, port: 80 } },
  deadline,
});
const RECORD = {
  commands: pack([{ op: 'add-service', service: SERVICE, options: { scheduler: 'rr' } } as const]),
  vips: [{ device: 'eth0', address: '192.0.2.1' }],
  drains: pack([drain(1, 5000), drain(2, 7000)]),
  daemons: [],
};

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lvs-record-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));
const open = (identity = '7-1', failed = (error: Error): void => expect.fail(error.message)) =>
  new AppliedRecordFile(folder, identity, failed);

test('the next director reads the commands, VIPs and drains of the table', async () => {
  await open().write(RECORD);
  const { commands, drains, ...rest } = open().read();
  expect([...unpacked(commands)]).toEqual([...unpacked(RECORD.commands)]);
  expect([...unpacked(drains)]).toEqual([drain(1, 5000), drain(2, 7000)]);
  expect(rest).toEqual({ vips: RECORD.vips, daemons: [] });
  // Another table has no record, and one whose table is gone has none any more.
  expect(open('7-2').read()).toEqual(NO_RECORD);
  const file = open();
  const written = file.write(RECORD);
  file.remove();
  await written;
  expect(readdirSync(folder)).toEqual([]);
});

test('the last of several records is the one that remains', async () => {
  const file = open();
  const all = Array.from({ length: 20 }, (_, i) =>
    file.write({ ...RECORD, vips: [{ device: 'eth0', address: `192.0.2.${i}` }] }),
  );
  await Promise.all(all);
  expect(open().read().vips).toEqual([{ device: 'eth0', address: '192.0.2.19' }]);
  expect(readdirSync(folder)).toEqual(['applied-7']);
});

test('a record that a death left incomplete is none', async () => {
  await open().write(RECORD);
  const path = join(folder, 'applied-7');
  for (let length = readFileSync(path).length - 1; length >= 0; length -= 7) {
    truncateSync(path, length);
    expect(open().read()).toEqual(NO_RECORD);
  }
});

test('a failure is reported, and leaves no older record', async () => {
  await open().write(RECORD);
  mkdirSync(join(folder, 'applied-7.new'));
  const failures: string[] = [];
  await open('7-1', ({ message }) => failures.push(message)).write(RECORD);
  expect(failures).toEqual([expect.stringMatching(/EISDIR/)]);
  expect(open().read()).toEqual(NO_RECORD);
});

test('drains keep their deadlines by the clock of the next director', async () => {
  const drains = new Drains();
  await drains.resume(later([drain(1, 5000), drain(2, 7000)], -4500));
  await drains.set([drain(1, 0).drain, drain(3, 0).drain], 9000);
  expect([...drains.entries()]).toEqual([drain(1, 500), drain(3, 9000)]);
});

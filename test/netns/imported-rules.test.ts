import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { lacking } from '../support/debian.ts';
import { TemporaryFolder } from '../support/director-apis.ts';
import type { GuestCase, GuestResult } from '../support/ipvs-guest.ts';
import { built, notBuilt, PROJECT } from '../support/project.ts';
import { runInGuest, umlMissing } from '../support/uml.ts';

const FIXTURES = join(PROJECT, 'test/fixtures/imports');
const GUEST = 'test/support/ipvs-guest';
/** A pattern: files whose names it matches are recorded, not compared; what the real program writes is printed. */
const recorded = process.env['RECORD_RULES'];
/** ms in which files are loaded. */
const LIMIT_MS = recorded === undefined ? 90_000 : 540_000;
/** ms that the guest may take to boot and to halt. */
const GRACE_MS = 25_000;

const why =
  umlMissing() ??
  lacking('keepalived') ??
  lacking('/usr/sbin/ldirectord', 'ldirectord') ??
  lacking('/sbin/ipvsadm', 'ipvsadm') ??
  notBuilt(GUEST);

test('User-Mode Linux, keepalived and ldirectord are available', ({ skip }) => skip(why !== undefined, why));

const filesOf = (program: GuestCase['program'], extension: string) =>
  readdirSync(join(FIXTURES, program))
    .filter((name) => name.endsWith(extension))
    .map((name) => ({ program, name, file: join(FIXTURES, program, name) }));

const files = [...filesOf('keepalived', '.conf'), ...filesOf('ldirectord', '.cf')].filter(
  ({ file }) => recorded === undefined || new RegExp(recorded).test(file),
);

describe.skipIf(why !== undefined)('the recorded rules are those of the real program in Linux 6.1', () => {
  let results: (GuestResult | null)[];

  beforeAll(async () => {
    using folder = new TemporaryFolder();
    const cases: GuestCase[] = files.map(({ program, file }) => ({ program, file }));
    writeFileSync(folder.file('cases.json'), JSON.stringify(cases));
    const environment = { IPVS_GUEST: folder.path, IPVS_GUEST_LIMIT: String(Date.now() + LIMIT_MS) };
    await runInGuest(built(GUEST), environment, folder.path, LIMIT_MS + GRACE_MS);
    const file = folder.file('results.json');
    results = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as (GuestResult | null)[]) : [];
    if (recorded !== undefined)
      for (const [i, { file }] of files.entries()) {
        process.stderr.write(`${file}\n${results[i]?.log ?? 'not loaded in time'}\n`);
        if (results[i]) writeFileSync(`${file}.rules`, results[i].rules);
      }
  }, 2 * LIMIT_MS);

  test.for(files.map((each, i) => [`${each.program}/${each.name}`, each.file, i] as const))(
    '%s',
    ([, file, i], { skip }) => {
      const result = results[i] ?? skip(`not loaded within ${LIMIT_MS / 1000} s`);
      expect(result.rules, result.log).toBe(readFileSync(`${file}.rules`, 'utf8'));
    },
  );
});

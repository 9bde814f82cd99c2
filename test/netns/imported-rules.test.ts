import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { lacking } from '../support/debian.ts';
import { TemporaryFolder } from '../support/director-apis.ts';
import type { GuestCase, GuestResult } from '../support/ipvs-guest.ts';
import { built, notBuilt } from '../support/project.ts';
import { recordedImports, writeDigests } from '../support/recorded-imports.ts';
import { runInGuest, umlMissing } from '../support/uml.ts';

const GUEST = 'test/support/ipvs-guest';
/**
 * The files that every run loads again; a unit test makes sure that the others are as they were recorded. User-Mode Linux
 * takes one to four seconds for each.
 */
const SAMPLE: ReadonlySet<string> = new Set([
  ...['checks', 'conditions', 'groups', 'include', 'ports', 'quorum', 'tunnels'].map(
    (name) => `keepalived/${name}.conf`,
  ),
  ...['checks', 'defaults', 'fallback', 'thresholds'].map((name) => `ldirectord/${name}.cf`),
]);
/**
 * A pattern: the files whose names it matches are recorded, not compared; what the real program writes is printed. All
 * files then count as recorded: let it match every file that has changed.
 */
const recorded = process.env['RECORD_RULES'];
/** ms in which files are loaded: a bound on what hangs. */
const LIMIT_MS = 540_000;
/** ms that the guest may take to boot and to halt. */
const GRACE_MS = 60_000;

const why =
  umlMissing() ??
  lacking('keepalived') ??
  lacking('/usr/sbin/ldirectord', 'ldirectord') ??
  lacking('/sbin/ipvsadm', 'ipvsadm') ??
  notBuilt(GUEST);

test('User-Mode Linux, keepalived and ldirectord are available', ({ skip }) => skip(why !== undefined, why));

const files = recordedImports().filter(({ name }) =>
  recorded === undefined ? SAMPLE.has(name) : new RegExp(recorded).test(name),
);

describe.skipIf(why !== undefined)('the recorded rules are those of the real program in Linux 6.1', () => {
  let results: (GuestResult | null)[];

  beforeAll(
    async () => {
      using folder = new TemporaryFolder();
      const cases: GuestCase[] = files.map(({ program, path }) => ({ program, file: path }));
      writeFileSync(folder.file('cases.json'), JSON.stringify(cases));
      const environment = { IPVS_GUEST: folder.path, IPVS_GUEST_LIMIT: String(Date.now() + LIMIT_MS) };
      const console = await runInGuest(built(GUEST), environment, folder.path, LIMIT_MS + GRACE_MS);
      const file = folder.file('results.json');
      if (!existsSync(file)) throw new Error(`User-Mode Linux ended without results:\n${console}`);
      results = JSON.parse(readFileSync(file, 'utf8')) as (GuestResult | null)[];
      if (recorded === undefined) return;
      for (const [i, { name, rulesPath }] of files.entries()) {
        process.stderr.write(`${name}\n${results[i]?.log ?? 'not loaded in time'}\n`);
        if (results[i]) writeFileSync(rulesPath, results[i].rules);
      }
      writeDigests();
    },
    LIMIT_MS + 2 * GRACE_MS,
  );

  test.for(files.map(({ name, rulesPath }, i) => [name, rulesPath, i] as const))('%s', ([, rulesPath, i]) => {
    const result = results[i];
    if (!result) throw new Error(`not loaded within ${LIMIT_MS / 1000} s`);
    expect(result.rules, result.log).toBe(readFileSync(rulesPath, 'utf8'));
  });
});

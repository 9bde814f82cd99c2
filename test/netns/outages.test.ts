/**
 * Two configurations as operators have them, of keepalived and of ldirectord, are imported; then servers fail and return, and
 * the rules are compared with those that the original had after the same steps in Linux 6.1.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { lacking } from '../support/debian.ts';
import { TemporaryFolder } from '../support/director-apis.ts';
import { Lab } from '../support/lab.ts';
import { ipvsadm, director as lvs, startAgent, startDirector } from '../support/lvs-programs.ts';
import {
  checkedIn,
  eventsOf,
  type Original,
  recorded,
  recordingOf,
  rulesOf,
  SERVERS,
  type ServerName,
  STEPS,
  type Step,
  setDatabase,
  writeOutageFiles,
} from '../support/outages/outages.ts';
import { PATIENCE, type Program } from '../support/program.ts';
import { built } from '../support/project.ts';
import { runInGuest, umlMissing } from '../support/uml.ts';

/** `keepalived` or `ldirectord`: its steps are recorded with the real program in User-Mode Linux, and nothing is compared. */
const recording = process.env['RECORD_OUTAGES'] as Original | undefined;
const RECORDING_MS = 900_000;
/** Checks of the databases, two in each second, after which a step has settled that changes no rules. */
const CHECKS = 6;

const why =
  recording === undefined
    ? (clusterMissing() ?? lacking('keepalived'))
    : (umlMissing() ?? lacking('/usr/sbin/ldirectord', 'ldirectord'));

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

/** Records the steps of the real program; the file needs formatting then. */
async function record(original: Original): Promise<void> {
  using folder = new TemporaryFolder();
  const environment = { OUTAGES: original, OUTAGES_OUTPUT: folder.path };
  const console = await runInGuest(
    built('test/support/outages/guest'),
    environment,
    folder.path,
    RECORDING_MS,
  );
  const log = (name: string) =>
    existsSync(folder.file(name)) ? readFileSync(folder.file(name), 'utf8') : '';
  process.stderr.write(`${console}\n${log('output')}\n${log('log')}\n`);
  const settled = log('settled.json');
  expect(JSON.parse(settled)).toHaveLength(STEPS[original].length);
  writeFileSync(recordingOf(original), settled);
}

if (recording !== undefined)
  test(`the steps of ${recording} are recorded`, () => record(recording), RECORDING_MS);

/** Options of `lvs-director import`, and words of `lvs-director run`. */
const WORDS: Readonly<Record<Original, { readonly imports: string[]; readonly runs: string[] }>> = {
  keepalived: { imports: ['--config-id', 'vs1'], runs: ['--standby', '--ready-file', '/run/lvs/ready'] },
  ldirectord: { imports: [], runs: [] },
};
const VIPS = 'vips:\n  - { interface: eth0, address: 192.168.0.101, prefix: 24 }\n';

describe.skipIf(why !== undefined).each(recording === undefined ? (Object.keys(STEPS) as Original[]) : [])(
  'the file of %s',
  (original) => {
    let lab: Lab;
    let folder: string;
    const servers = new Map<ServerName, Program>();
    const steps = recorded(original);

    beforeAll(async () => {
      lab = await Lab.create({ servers: Object.keys(SERVERS).length });
      for (const [i, name] of (Object.keys(SERVERS) as ServerName[]).entries()) {
        const host = lab.servers[i]!;
        await startAgent(host, '--vip', lab.vip);
        const server = host.spawn([...built('test/support/outages/server'), name]);
        await server.line(/^ready$/);
        servers.set(name, server);
      }
      folder = join(lab.folder, 'etc');
    });
    afterAll(() => lab?.[Symbol.asyncDispose]());

    const at = (name: string) => join(folder, name);

    test('is imported with nothing lost, and run', async () => {
      const path = writeOutageFiles(original, folder);
      const { imports, runs } = WORDS[original];
      const rest = original === 'keepalived' ? ['--keepalived', at('rest.conf')] : [];
      const { status, stdout, stderr } = await lab.director.run([
        ...lvs,
        'import',
        path,
        ...imports,
        ...rest,
      ]);
      expect(status).toBe(0);
      const lost = stderr.split('\n').filter((line) => line.includes('left out'));
      expect(lost).toEqual(
        original === 'keepalived' ? [expect.stringContaining('it stays in keepalived.conf')] : [],
      );
      writeFileSync(at('lvs.yaml'), original === 'keepalived' ? stdout : `${VIPS}${stdout}`);
      await startDirector(lab.director, at('lvs.yaml'), ...runs);
      isPlayed = original !== 'keepalived';
      if (isPlayed) return;
      const program = at('lvs-director');
      writeFileSync(program, `#!/bin/sh\nexec ${lvs.join(' ')} "$@"\n`, { mode: 0o755 });
      const text = readFileSync(at('rest.conf'), 'utf8').replaceAll('/usr/bin/lvs-director', program);
      writeFileSync(at('rest.conf'), text);
      lab.director.spawn([
        ...['keepalived', '--dont-fork', '--log-console', '--vrrp', '--config-id', 'vs1'],
        ...['--use-file', at('rest.conf'), '--pid', at('keepalived.pid'), '--vrrp_pid', at('vrrp.pid')],
      ]);
      const hasVip = async () => await lab.director.exec('ip -o address show dev eth0');
      await expect.poll(hasVip, { timeout: PATIENCE }).toContain(lab.vip);
      isPlayed = true;
    });

    const rules = async () => rulesOf(await lab.director.exec([...ipvsadm, '-Ln']));
    /** Makes the change of a step. */
    const take = async ({ server, answers, database }: Step) => {
      if (server !== undefined && database !== undefined) setDatabase(folder, SERVERS[server], database);
      if (server === undefined || !answers) return;
      const program = servers.get(server)!;
      const from = program.lines.length;
      program.write(`${JSON.stringify(answers)}\n`);
      await program.line(/^changed$/, undefined, from);
    };
    /** Resolves when servers have been checked again, several times. */
    const checked = async () => {
      const before = checkedIn(folder);
      await expect
        .poll(() => checkedIn(folder) - before, { timeout: PATIENCE })
        .toBeGreaterThanOrEqual(CHECKS);
    };
    let events = 0;
    /** Whether all before has gone well. */
    let isPlayed = false;

    test.each(STEPS[original].map((step, i) => [step.name, step, i] as const))('%s', async (_, step, i) => {
      if (!isPlayed) throw new Error('an earlier step has failed');
      isPlayed = false;
      await take(step);
      const expected = steps[i]!;
      expect(expected.step).toBe(step.name);
      const since = () => eventsOf(folder, events).sort();
      await expect.poll(rules, { timeout: PATIENCE, interval: 100 }).toEqual(expected.rules);
      await expect.poll(since, { timeout: PATIENCE, interval: 100 }).toEqual(expected.events.toSorted());
      await checked();
      expect(await rules()).toEqual(expected.rules);
      expect(since()).toEqual(expected.events.toSorted());
      events += expected.events.length;
      await answered();
      isPlayed = true;
    });

    /** A client gets its page from a web server that the rules use. */
    const answered = async () => {
      const lines = await rules();
      const from = lines.findIndex((line) => line.startsWith(`TCP ${lab.vip}:80 `));
      const of = lines.slice(
        from + 1,
        lines.findIndex((line, i) => i > from && line.startsWith('TCP')),
      );
      const used = (Object.keys(SERVERS) as ServerName[]).filter((name) =>
        of.some((line) => line.startsWith(`-> ${SERVERS[name]}:80 `) && !line.endsWith(' 0')),
      );
      const page = await lab.client.exec(['curl', '-sSi', '--max-time', '30', `http://${lab.vip}/alive`]);
      expect(used).toContain(/^server: (\w+)/im.exec(page)?.[1]);
    };
  },
);

import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { families } from '../../src/metrics/exposition.ts';
import { CLUSTER } from '../support/cluster-status.ts';
import { lacking } from '../support/debian.ts';
import { TemporaryFolder } from '../support/director-apis.ts';
import { ObservedDirector, surroundings, WEB } from '../support/observed.ts';
import { PROJECT } from '../support/project.ts';

const PROMTOOL = '/usr/bin/promtool';
interface Dashboard {
  readonly panels: readonly { readonly id: number; readonly targets: readonly { readonly expr: string }[] }[];
}

const FOLDER = join(PROJECT, 'conf', 'prometheus');
const why = lacking('promtool', 'prometheus');
const promtool = (...words: string[]) => spawnSync(PROMTOOL, words, { cwd: FOLDER, encoding: 'utf8' });

test('promtool exists', ({ skip }) => skip(why !== undefined, why));

describe('the output for Prometheus', () => {
  test.skipIf(why !== undefined).each([
    ['check', 'rules', 'lvs.rules.yml'],
    ['check', 'config', 'prometheus.yml'],
    ['test', 'rules', 'lvs.rules.test.yml'],
  ])('passes promtool %s %s %s', (verb, what, file) => {
    const { status, stdout, stderr } = promtool(verb, what, file);
    expect({ status, said: status === 0 ? '' : stdout + stderr }).toEqual({ status: 0, said: '' });
  });

  test.skipIf(why !== undefined)('matches the queries of the dashboard, which are all valid', () => {
    const dashboard = JSON.parse(readFileSync(join(FOLDER, 'grafana-dashboard.json'), 'utf8')) as Dashboard;
    const queries = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
    expect(queries.length).toBeGreaterThan(15);
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    // JSON is YAML.
    const rules = queries.map((expr, i) => ({ record: `query:${i}`, expr: expr.replace('$instance', '.*') }));
    using folder = new TemporaryFolder();
    const file = folder.file('queries.yml');
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'queries', rules }] }));
    const { status, stdout, stderr } = promtool('check', 'rules', file);
    expect({ status, said: status === 0 ? '' : stdout + stderr }).toEqual({ status: 0, said: '' });
  });

  /** Returns the lvs_ names in a text, except those that a rule records. */
  const namesIn = (text: string) =>
    new Set([...text.matchAll(/(?<![:a-z_])lvs_[a-z0-9_]+(?![:a-z])/g)].map(([name]) => name));

  test.each(['lvs.rules.yml', 'grafana-dashboard.json'])('has every metric that %s names', async (file) => {
    const director = new ObservedDirector().serve(WEB, { '10.0.0.1': 1 });
    director.checks.set('10.0.0.1', { type: 'tcp', state: 'up', since: 1, message: 'ok', weight: 1 });
    director.report('MASTER');
    const around = { ...surroundings, cluster: CLUSTER };
    const known = new Set<string>();
    for await (const { name } of families(director.snapshot(), around)) known.add(name);
    const named = namesIn(readFileSync(join(FOLDER, file), 'utf8'));
    expect(named.size).toBeGreaterThan(5);
    for (const name of named) expect(known).toContain(name);
  });
});

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { lacking } from '../support/debian.ts';
import { Lab } from '../support/lab.ts';
import { conf, startAgent, startDirector, startServers } from '../support/lvs-programs.ts';
import type { Program } from '../support/program.ts';

const why = clusterMissing();
const withoutPrometheus = lacking('prometheus') ?? lacking('promtool', 'prometheus');
const withoutExporter = lacking('prometheus-node-exporter');
const METRICS = '127.0.0.1:9112';
const PROMETHEUS = '127.0.0.1:9090';

const CONFIG = `method: dr
vips:
  - { interface: eth0, address: 192.168.0.101, prefix: 24 }
director: { inside: { interface: eth0, address: 192.168.0.1, prefix: 24 } }
services:
  - tcp: 192.168.0.101:80
    scheduler: wrr
    check: { type: http, path: /, interval: 1, timeout: 1, fall: 2, rise: 1 }
    destinations: [{ server: 192.168.0.3, weight: 3 }, { server: 192.168.0.4, weight: 1 }]
`;

test('what is needed is there', ({ skip }) => skip(why !== undefined, why));

describe.skipIf(why !== undefined)('looking at a running director', () => {
  let lab: Lab;
  let director: Program;
  const servers: Program[] = [];

  beforeAll(async () => {
    lab = await Lab.create({});
    const config = join(lab.folder, 'lvs.yaml');
    writeFileSync(config, CONFIG);
    for (const [i, host] of lab.servers.entries()) {
      await startAgent(host, '--vip', '192.168.0.101');
      servers.push(await startServers(host, i + 1));
    }
    mkdirSync(join(lab.folder, 'proc'));
    director = await startDirector(lab.director, config, '--metrics', '--procfs', join(lab.folder, 'proc'));
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  const get = (url: string) => lab.director.exec(['curl', '-sS', '--max-time', '5', `http://${url}`]);
  /** Resolves when what the URL gives matches. */
  async function says(url: string, pattern: string, limit = 60_000): Promise<void> {
    const command = `until curl -sS --max-time 5 http://${url} | grep -Eq '${pattern}'; do sleep 0.2; done`;
    const { status } = await lab.director.run(command, { limit });
    expect(status, `${pattern} within ${limit} ms, but:\n${await get(url)}`).toBe(0);
  }

  test('metrics follow the traffic', async () => {
    for (let i = 0; i < 8; i++) await lab.client.exec('curl -sS --max-time 5 http://vip/');
    await says(`${METRICS}/metrics`, '^lvs_connections_total 8$');
    const text = await get(`${METRICS}/metrics`);
    const connections = (server: number) =>
      new RegExp(`^lvs_destination_connections_total\\{.*"192.168.0.${server}".* (\\d+)$`, 'm').exec(
        text,
      )?.[1];
    expect([connections(3), connections(4)]).toEqual(['6', '2']);
    expect(text).toMatch(/^lvs_scheduler_decisions_total\{result="chosen"\} 8$/m);
    expect(text).toMatch(/^lvs_build_info\{version="\d.*\} 1$/m);
  });

  test('alive, ready, and as JSON', async () => {
    expect(await get(`${METRICS}/healthz`)).toBe('alive');
    expect(await get(`${METRICS}/readyz`)).toBe('ready');
    const { services, surroundings } = JSON.parse(await get(`${METRICS}/api/v1/snapshot`));
    expect(services).toHaveLength(1);
    expect(surroundings).toMatchObject({ running: true });
  });

  test('node_exporter sees the same under the same names', async ({ skip }) => {
    skip(withoutExporter !== undefined, withoutExporter);
    await using exporter = lab.director.spawn([
      'prometheus-node-exporter',
      '--collector.disable-defaults',
      '--collector.ipvs',
      `--path.procfs=${join(lab.folder, 'proc')}`,
      '--web.listen-address=127.0.0.1:9100',
    ]);
    await lab.director.listening(9100);
    const seriesOf = async (url: string) =>
      (await get(`${url}/metrics`))
        .split('\n')
        .filter((line) => /^node_ipvs_(backend_weight|connections_total|incoming_packets_total)/.test(line))
        .map((line) => line.replace(/\{(.*)\}/, (_, labels: string) => `{${labels.split(',').sort()}}`))
        .sort();
    const ours = await seriesOf(METRICS);
    expect(ours).toHaveLength(4);
    expect(await seriesOf('127.0.0.1:9100')).toEqual(ours);
    expect(exporter.running).toBe(true);
  });

  test('Prometheus scrapes it, and its alert fires when a server is killed', async ({ skip }) => {
    skip(withoutPrometheus !== undefined, withoutPrometheus);
    const folder = join(lab.folder, 'prometheus');
    mkdirSync(folder);
    for (const name of ['prometheus.yml', 'lvs.rules.yml']) {
      const text = readFileSync(conf(`prometheus/${name}`), 'utf8');
      writeFileSync(join(folder, name), text.replace(/(_interval|for): 1[05]s/g, '$1: 1s'));
    }
    await using prometheus = lab.director.spawn([
      'prometheus',
      `--config.file=${folder}/prometheus.yml`,
      `--storage.tsdb.path=${folder}/data`,
      `--web.listen-address=${PROMETHEUS}`,
    ]);
    const query = (text: string) => `${PROMETHEUS}/api/v1/query?query=${encodeURIComponent(text)}`;
    await says(query('up{job="lvs"}'), '"value":\\[[0-9.]+,"1"\\]');
    await says(query('lvs_destination_check_up'), '"192.168.0.3"');
    expect(await get(`${PROMETHEUS}/api/v1/alerts`)).not.toContain('LvsDestinationDown');
    await servers[0]!.stop('SIGKILL');
    await director.line(/check-down .*192\.168\.0\.3/, 30_000);
    await says(`${PROMETHEUS}/api/v1/alerts`, '"LvsDestinationDown".*"192.168.0.3".*"state":"firing"');
    expect(await get(`${PROMETHEUS}/api/v1/alerts`)).not.toContain('LvsNoDestinationLeft');
    expect(prometheus.running).toBe(true);
  });
});

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { browserMissing } from '../support/browser.ts';
import { clusterMissing } from '../support/cluster.ts';
import { lacking } from '../support/debian.ts';
import { Lab } from '../support/lab.ts';
import {
  conf,
  ipvsadm,
  director as lvs,
  startAgent,
  startDirector,
  startServers,
} from '../support/lvs-programs.ts';
import { PATIENCE, type Program } from '../support/program.ts';
import { built } from '../support/project.ts';

const why = clusterMissing();
const withoutPrometheus = lacking('prometheus') ?? lacking('promtool', 'prometheus');
const withoutTshark = lacking('tshark');
const withoutTmux = lacking('tmux');
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
    check: { type: http, path: /, interval: 1, timeout: 5, fall: 2, rise: 1 }
    destinations: [{ server: 192.168.0.3, weight: 3 }, { server: 192.168.0.4, weight: 1 }]
`;

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

describe.skipIf(why !== undefined)('on a running director', () => {
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

  const get = (url: string) => lab.director.exec(['curl', '-sS', '--max-time', '30', `http://${url}`]);
  /** Resolves when what the URL gives matches. */
  async function says(url: string, pattern: string, limit = PATIENCE): Promise<void> {
    const command = `until curl -sS --max-time 30 http://${url} | grep -Eq '${pattern}'; do sleep 0.2; done`;
    const { status } = await lab.director.run(command, { limit });
    expect(status, `${pattern} within ${limit} ms, but:\n${await get(url)}`).toBe(0);
  }

  test('metrics follow the traffic', async () => {
    for (let i = 0; i < 8; i++) await lab.client.exec('curl -sS --max-time 30 http://vip/');
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

  test('the health endpoints and JSON report that it is alive and ready', async () => {
    expect(await get(`${METRICS}/healthz`)).toBe('alive');
    expect(await get(`${METRICS}/readyz`)).toBe('ready');
    const { services, surroundings } = JSON.parse(await get(`${METRICS}/api/v1/snapshot`));
    expect(services).toHaveLength(1);
    expect(surroundings).toMatchObject({ running: true });
  });

  test('a rejected reload is a condition until the next one, which gives names', async () => {
    const config = join(lab.folder, 'lvs.yaml');
    const reload = async (text: string) => {
      writeFileSync(config, text);
      return (await lab.director.run([...lvs, 'reload'])).status;
    };
    expect(await reload(CONFIG.replace('rr', 'rrr'))).toBe(2);
    expect(await get(`${METRICS}/readyz`)).toMatch(
      /^ready, but degraded: the configuration file was rejected at .* UTC, and an earlier one is in effect/,
    );
    const names = CONFIG.replace('  - tcp', '  - name: web\n    tcp').replace('0.3,', '0.3, name: web1,');
    expect(await reload(names)).toBe(0);
    expect(await get(`${METRICS}/readyz`)).toBe('ready');
    expect((await lab.director.run([...lvs, 'top', '--filter', 'web1'])).stdout).toMatch(
      /^web \(tcp 192\.168\.0\.101:80\) +up .*\n {2}web1 \(192\.168\.0\.3:80\) +up /m,
    );
    expect(await get(`${METRICS}/metrics`)).toMatch(
      /^lvs_destination_info\{.*service="web",server="web1"\} 1$/m,
    );
    expect(await get(`${METRICS}/readyz?service=web`)).toBe('ready');
    expect(await reload(CONFIG)).toBe(0);
  });

  test('node_exporter exports the same figures under the same names', async ({ skip }) => {
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
    expect(await seriesOf(METRICS)).toHaveLength(4);
    // The files of --procfs are written once a second.
    const theirs = () => seriesOf('127.0.0.1:9100');
    await expect.poll(theirs, { timeout: PATIENCE }).toEqual(await seriesOf(METRICS));
    expect(exporter.running).toBe(true);
  });

  const tell = (...words: string[]) => lab.director.run([...lvs, ...words]);

  test('explain reports the destination of the next client and why, and the prediction is right', async () => {
    const ends = ['--from', '192.168.0.200:40000', '--to', '192.168.0.101:80'];
    const { status, stdout } = await tell('explain', ...ends);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^packet +192\.168\.0\.200:40000 > 192\.168\.0\.101:80 TCP SYN$/m);
    expect(stdout).toMatch(/^service +tcp 192\.168\.0\.101:80$/m);
    expect(stdout).toMatch(/^scheduler +wrr takes each in turn, as often as its weight$/m);
    const server = /^ +-> 192\.168\.0\.(\d):80 /m.exec(stdout)?.[1];
    expect(stdout).toMatch(new RegExp(`^sends +.* TCP SYN via 192\\.168\\.0\\.${server}$`, 'm'));
    expect((await tell('explain', ...ends)).stdout).toBe(stdout);
    const said = await lab.client.exec('curl -sS --max-time 30 --local-port 40000 http://vip/');
    expect(said).toBe(`I am real server #${Number(server) - 2}`);
    const known = (await tell('explain', ...ends, '--json')).stdout;
    expect(JSON.parse(known).steps[0]).toMatchObject({ step: 'found', what: 'connection' });
  });

  test('explain names the service that nearly matched', async () => {
    const { status, stdout } = await tell('explain', '--from', '192.0.2.1:9', '--to', '192.168.0.101:81');
    expect(status).toBe(0);
    expect(stdout).toContain('not tcp 192.168.0.101:80: different port');
    expect(stdout).toMatch(/^verdict +pass/m);
  });

  test('capture shows packets before and after forwarding, and explain reads them from the file', async ({
    skip,
  }) => {
    skip(withoutTshark !== undefined, withoutTshark);
    const file = join(lab.folder, 'web.pcapng');
    await using capture = lab.director.spawn([
      ...lvs,
      'capture',
      '--service',
      'tcp:192.168.0.101:80',
      '-w',
      file,
    ]);
    await capture.line(/^capturing/);
    // Long enough for a kernel path to take its connection, were it let.
    await lab.client.exec("curl -sS --max-time 30 -o /dev/null 'http://vip/big?octets=2000000'");
    // The packets arrive in batches, and a batch may end within the download.
    const received = `tshark -r ${file} -Y 'frame.interface_name == "received"' 2>/dev/null`;
    await lab.director.run(`until [ $(${received} | wc -l) -ge 10 ]; do sleep 0.1; done`, {
      limit: PATIENCE,
    });
    expect(await capture.stop('SIGINT')).toBe(0);
    expect(Number(/^(\d+) packets$/m.exec(capture.output)?.[1])).toBeGreaterThanOrEqual(10);
    const fields = ['frame.interface_name', 'frame.comment', 'ip.dst', 'ip.ttl', 'tcp.flags.syn'];
    const tshark = `tshark -r ${file} -T fields ${fields.map((field) => `-e ${field}`).join(' ')}`;
    const rows = (await lab.director.exec(`${tshark} 2>/dev/null`)).split('\n').map((row) => row.split('\t'));
    const [before, after] = rows;
    expect(before![0]).toBe('received');
    expect(before![1]).toMatch(
      /^verdict forwarded; service tcp 192\.168\.0\.101:80; connection TCP SYN_RECV client 192\.168\.0\.200:\d+ /,
    );
    expect(after![0]).toBe('sent');
    expect(after![1]).toMatch(/^next hop 192\.168\.0\.[34]; service tcp/);
    expect([before![2], after![2]]).toEqual(['192.168.0.101', '192.168.0.101']);
    expect(Number(after![3])).toBe(Number(before![3]) - 1);
    expect(rows).toHaveLength(rows.filter(([name]) => name === 'received').length * 2);

    const plain = join(lab.folder, 'web.pcap');
    await lab.director.exec(`tshark -r ${file} -F pcap -w ${plain} 2>/dev/null`);
    for (const each of [file, plain]) {
      const { stdout } = await tell('explain', '--pcap', each, '--packet', '1');
      expect(stdout).toMatch(/^packet +192\.168\.0\.200:\d+ > 192\.168\.0\.101:80 TCP SYN$/m);
    }
    const none = await tell('explain', '--pcap', plain, '--packet', '10000');
    expect(none).toMatchObject({ status: 2, stderr: expect.stringContaining('packet 10000 not found') });
  });

  test('top prints once without a terminal', async () => {
    const { status, stdout } = await tell('top');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^tcp 192\.168\.0\.101:80 +up +wrr /m);
    expect(stdout).toMatch(/^ {2}192\.168\.0\.3:80 +up +dr +3 /m);
    expect(stdout).not.toContain('\u001b');
  });

  test('top refreshes in a terminal until q is pressed', async ({ skip }) => {
    skip(withoutTmux !== undefined, withoutTmux);
    const socket = join(lab.folder, 'tmux');
    const tmux = (...words: string[]) => lab.director.exec(['tmux', '-S', socket, ...words]);
    // Stays when the program has ended, to be looked at.
    await tmux(
      '-f',
      '/dev/null',
      'new-session',
      '-d',
      '-x',
      '120',
      '-y',
      '30',
      `${lvs.join(' ')} top --interval 1; echo ended $?; cat`,
    );
    const shown = async (pattern: string) => {
      const command = `until tmux -S ${socket} capture-pane -p | grep -Eq '${pattern}'; do sleep 0.1; done`;
      const { status } = await lab.director.run(command, { limit: PATIENCE });
      expect(status, `${pattern}, but:\n${await tmux('capture-pane', '-p')}`).toBe(0);
    };
    try {
      await shown('^tcp 192.168.0.101:80 +(up|impaired) +wrr');
      await lab.director.exec([
        ...ipvsadm,
        ...'-e -t 192.168.0.101:80 -r 192.168.0.4:80 -g -w 77'.split(' '),
      ]);
      await shown('192.168.0.4:80 +up +dr +77 ');
      await tmux('resize-window', '-x', '120', '-y', '5');
      await shown('^1-3 of 3 ');
      await tmux('send-keys', 'q');
      await shown('^ended 0$');
      expect(await tmux('capture-pane', '-p')).not.toContain('wrr');
    } finally {
      await lab.director.run(['tmux', '-S', socket, 'kill-server']);
    }
  });

  test('the page in Chromium follows changes by ipvsadm', async ({ skip }) => {
    skip(browserMissing !== undefined, browserMissing);
    await using monitor = lab.director.spawn([
      ...built('test/support/page-monitor'),
      `http://${METRICS}/`,
      'quiesced',
    ]);
    await monitor.line(/^live$/);
    const edit = (weight: number) =>
      lab.director.exec([
        ...ipvsadm,
        ...`-e -t 192.168.0.101:80 -r 192.168.0.4:80 -g -w ${weight}`.split(' '),
      ]);
    await edit(0);
    expect(await monitor.line(/^seen/)).toBe('seen []');
    await edit(1);
    await director.line(/destination-edited .*192\.168\.0\.4:80.* weight=0 cause="control socket"/);
  });

  test('hostile web clients do not affect the clients of the service', async () => {
    const dropped = async () =>
      /^lvs_driver_lost_packets_total.*$/m.exec(await get(`${METRICS}/metrics`))?.[0] ?? 'nothing';
    const before = await dropped();
    await using hostile = lab.director.spawn([
      ...built('test/support/hostile-clients'),
      '127.0.0.1',
      '9112',
      '5',
    ]);
    await hostile.line(/^connected$/);
    for (let i = 0; i < 20; i++)
      expect(await lab.client.exec('curl -sS --max-time 30 http://vip/')).toMatch(/^I am real server #[12]$/);
    expect(await hostile.line(/answers$/)).not.toBe('0 answers');
    await hostile.ended;
    expect(director.running).toBe(true);
    expect(await get(`${METRICS}/healthz`)).toBe('alive');
    expect(await dropped()).toBe(before);
  });

  test('the health endpoint reports not ready while no interface is up', async () => {
    await lab.director.exec('ip link set eth0 down');
    await says(`${METRICS}/readyz`, '^the datapath is not running$');
    await says(`${METRICS}/metrics`, '^lvs_datapath_running 0$');
    await lab.director.exec('ip link set eth0 up');
    await says(`${METRICS}/readyz`, '^ready$');
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
    await director.line(/check-down .*192\.168\.0\.3/);
    await says(`${PROMETHEUS}/api/v1/alerts`, '"LvsDestinationDown".*"192.168.0.3".*"state":"firing"');
    expect(await get(`${PROMETHEUS}/api/v1/alerts`)).not.toContain('LvsNoDestinationLeft');
    expect(prometheus.running).toBe(true);
  });
});

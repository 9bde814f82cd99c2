import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { contentHash } from '../support/content.ts';
import { Lab } from '../support/lab.ts';
import { director, ipvsadm, startAgent, startDirector, startServers } from '../support/lvs-programs.ts';
import { PATIENCE, type Program } from '../support/program.ts';
import { built } from '../support/project.ts';

const why = clusterMissing();
/** Octets of a download that lasts until it is ended or hurried. */
const LARGE = 100 * 1024 * 1024;

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

/** A file for the laboratory's segment, with these services on its VIP. */
const file = (services: readonly string[], more = '') => `method: dr
vips:
  - { interface: eth0, address: 192.168.0.101, prefix: 24 }
director: { inside: { interface: eth0, address: 192.168.0.1, prefix: 24 } }
timeouts: { tcp-fin: 1 }
${more}
services:
${services.map((each) => `  - ${each}\n`).join('')}`;
const web = (destinations: string, rest = '') =>
  `{ tcp: '192.168.0.101:80', scheduler: rr, ${rest} destinations: [${destinations}] }`;
const BOTH = '192.168.0.3, 192.168.0.4';

describe.skipIf(why !== undefined)('a running director', () => {
  let lab: Lab;
  let program: Program;
  let config: string;
  const servers: Program[] = [];

  beforeAll(async () => {
    lab = await Lab.create({ ipv6: true });
    config = join(lab.folder, 'lvs.yaml');
    for (const [i, host] of lab.servers.entries()) {
      await startAgent(host, '--vip', '192.168.0.101,192.168.0.102');
      servers.push(await startServers(host, i + 1));
    }
    writeFileSync(config, file([web(BOTH)]));
    program = await startDirector(lab.director, config);
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  const list = () => lab.director.exec([...ipvsadm, '-L', '-n']);
  const tell = (...words: string[]) => lab.director.run([...director, ...words]);
  async function reload(services: readonly string[], more = ''): Promise<string> {
    writeFileSync(config, file(services, more));
    const { status, stdout, stderr } = await tell('reload');
    expect(stderr).toBe('');
    expect(status).toBe(0);
    return stdout;
  }
  const get = (vip = lab.vip) => lab.client.exec(['curl', '-sS', '--max-time', '30', `http://${vip}/`]);
  /** Resolves when what `ipvsadm -L` prints matches. */
  const listed = (pattern: RegExp) =>
    expect.poll(list, { timeout: PATIENCE, interval: 100 }).toMatch(pattern);
  /** Resolves when what `ipvsadm -L` prints matches no longer. */
  const unlisted = (pattern: RegExp) =>
    expect.poll(list, { timeout: PATIENCE, interval: 100 }).not.toMatch(pattern);

  // Whatever the test before left, and however it ended: both servers, with no connection that is open.
  beforeEach(async () => {
    await reload([web(BOTH)], 'adopt: replace');
    await listed(
      /^IP .*\nProt .*\n {2}-> .*\nTCP {2}192\.168\.0\.101:80 rr(\n {2}-> 192\.168\.0\.[34]:80 +Route +1 +0 +\d+ *){2}$/,
    );
    await reload([web(BOTH)]);
  });

  test('completes a download while other services are added, changed and removed', async () => {
    const url = `http://${lab.vip}/big?octets=${LARGE}`;
    await using download = lab.client.spawn([...built('test/support/download'), url]);
    await listed(/192\.168\.0\.[34]:80 +Route +1 +1 /);
    for (let i = 0; i < 5; i++) {
      await reload([
        web(BOTH, i % 2 === 0 ? '' : 'persistent: 60,'),
        `{ tcp: '192.168.0.101:9${i}', scheduler: wlc, destinations: [${BOTH}] }`,
        `{ udp: '192.168.0.101:53', scheduler: ${i % 2 === 0 ? 'rr' : 'sh'}, destinations: [${BOTH}] }`,
      ]);
    }
    expect(await list()).toContain('192.168.0.101:94 wlc');
    // It goes when the director next looks whether it is idle.
    await unlisted(/192\.168\.0\.101:93 wlc/);
    await listed(/192\.168\.0\.[34]:80 +Route +1 +1 /);
    download.write('hurry\n');
    expect(await download.ended).toBe(0);
    expect(download.output).toBe(contentHash(LARGE));
  });

  test('reports in advance what a reload would do', async () => {
    writeFileSync(config, file([web('192.168.0.3', 'persistent: 60,')]));
    const { stdout, status } = await tell('plan', config);
    expect(status).toBe(0);
    expect(stdout).toContain('~ tcp 192.168.0.101:80: nothing -> persistent 60 s; connections are kept');
    expect(stdout).toMatch(/^- tcp 192\.168\.0\.101:80 -> 192\.168\.0\.4:80: /m);
    expect(await list()).toContain('192.168.0.4:80 ');
    expect(await list()).not.toContain('persistent');
    expect(await reload([web(BOTH)])).toBe('reloaded: 0 changes, 0 to be removed when idle\n');
  });

  test('keeps a removed destination until its last connection has ended', async () => {
    const downloads = [1, 2].map(() =>
      lab.client.spawn(`curl -sS --limit-rate 100k -o /dev/null http://${lab.vip}/big?octets=${LARGE}`),
    );
    await listed(/192\.168\.0\.3:80 +Route +1 +1 /);
    await listed(/192\.168\.0\.4:80 +Route +1 +1 /);
    expect(await reload([web('192.168.0.4')])).toBe('reloaded: 1 changes, 1 to be removed when idle\n');
    await listed(/192\.168\.0\.3:80 +Route +0 +1 /);
    for (let i = 0; i < 3; i++) expect(await get()).toBe('I am real server #2');
    // Another reload meanwhile does not forget it.
    await reload([web('192.168.0.4')]);
    expect(downloads.map(({ running }) => running)).toEqual([true, true]);
    await listed(/192\.168\.0\.3:80 +Route +0 +1 /);
    for (const each of downloads) await each.stop();
    await unlisted(/192\.168\.0\.3:80/);
  });

  test('removes a destination at the deadline, even with connections', async () => {
    await using download = lab.client.spawn(
      `curl -sS --limit-rate 100k -o /dev/null http://${lab.vip}/big?octets=${LARGE}`,
    );
    await listed(/192\.168\.0\.[34]:80 +Route +1 +1 /);
    await reload([web('')], 'drain: 1');
    await unlisted(/Route/);
    expect(download.running).toBe(true);
  });

  test('adds and removes VIPs', async () => {
    const addresses = () => lab.director.exec('ip -o address show dev eth0');
    writeFileSync(
      config,
      file([web(BOTH), web(BOTH).replace('.101', '.102')]).replace(
        'vips:\n',
        'vips:\n  - { interface: eth0, address: 192.168.0.102, prefix: 24 }\n',
      ),
    );
    expect((await tell('reload')).status).toBe(0);
    expect(await addresses()).toContain('192.168.0.102/32');
    expect(await get('192.168.0.102')).toMatch(/^I am real server/);
    await reload([web(BOTH)]);
    await expect.poll(addresses, { timeout: PATIENCE, interval: 100 }).not.toContain('192.168.0.102');
    expect(await addresses()).toContain('192.168.0.101/32');
  });

  test('changes nothing for a file with errors, and reports all of them', async () => {
    // But for the numbers of connections, which end meanwhile.
    const rules = async () => (await list()).replace(/( +\d+){2} *$/gm, '');
    const before = await rules();
    expect(before).toMatch(/ Route +1$/m);
    writeFileSync(config, `${file([web('192.168.0.3')])}  - { tcp: '192.168.0.101:99', schedler: rr }\n`);
    const { status, stderr } = await tell('reload');
    expect(status).toBe(2);
    expect(stderr).toMatch(/lvs\.yaml:\d+:\d+: error: unknown key 'schedler'; did you mean 'scheduler'\?/);
    expect(stderr).toMatch(/error: missing key 'destinations'/);
    writeFileSync(config, file([web(BOTH)]).replace('interface: eth0', 'interface: eth9'));
    const second = await tell('reload');
    expect([second.status, second.stderr]).toEqual([
      2,
      'lvs-director: VIP 192.168.0.101: network interface eth9 not found\n',
    ]);
    writeFileSync(config, `${file([web('192.168.0.3')])}  - { tcp: '192.168.0.101:99', schedler: rr }\n`);
    const lines = program.lines.length;
    program.signal('SIGHUP');
    await program.line(/ error config-rejected /, PATIENCE, lines);
    expect(await rules()).toBe(before);
    expect(await get()).toMatch(/^I am real server/);
  });

  test('reads its file again at SIGHUP, and keeps rules set with ipvsadm unless configured otherwise', async () => {
    await lab.director.exec([...ipvsadm, '-A', '-t', '192.168.0.101:443', '-s', 'rr']);
    writeFileSync(config, file([web(BOTH)]));
    let lines = program.lines.length;
    program.signal('SIGHUP');
    await program.line(
      / warning manual-change-found change="tcp 192\.168\.0\.101:443 is not in the file"/,
      PATIENCE,
      lines,
    );
    expect(await list()).toContain('192.168.0.101:443 rr');
    writeFileSync(config, file([web(BOTH)], 'adopt: replace'));
    lines = program.lines.length;
    program.signal('SIGHUP');
    await program.line(/ info reloaded /, PATIENCE, lines);
    await unlisted(/:443/);
  });

  test('quiesces a server that stopped, and uses it again after it returns', async () => {
    const check = 'check: { type: http, interval: 0.2, timeout: 5, fall: 3, rise: 2 },';
    await reload([web(BOTH, check)]);
    let lines = program.lines.length;
    await servers[0]!.stop();
    const down = await program.line(/ check-down /, PATIENCE, lines);
    expect(down).toMatch(
      /warning check-down service="tcp 192\.168\.0\.101:80" destination=192\.168\.0\.3:80 weight=0 cause="connection refused"/,
    );
    await listed(/192\.168\.0\.3:80 +Route +0 /);
    for (let i = 0; i < 4; i++) expect(await get()).toBe('I am real server #2');
    // What a check did is nothing that a reload would undo.
    expect(await reload([web(BOTH, check)])).toBe('reloaded: 0 changes, 0 to be removed when idle\n');
    lines = program.lines.length;
    servers[0] = await startServers(lab.servers[0]!, 1);
    await program.line(/ info check-up .*192\.168\.0\.3:80 weight=1 cause="status 200"/, PATIENCE, lines);
    await listed(/192\.168\.0\.3:80 +Route +1 /);
    expect([await get(), await get()].sort()).toEqual(['I am real server #1', 'I am real server #2']);
  });
});

describe.skipIf(why !== undefined)('agents on the real servers', () => {
  test('adjust weights; a server whose agent does not answer gets no new connections', async () => {
    await using lab = await Lab.create();
    const config = join(lab.folder, 'lvs.yaml');
    const check = 'check: { type: agent, port: 5555, interval: 0.2, timeout: 5, fall: 2, max-step: 20 },';
    writeFileSync(
      config,
      file([
        `{ tcp: '192.168.0.101:80', scheduler: wrr, weight: 100, ${check} destinations: [192.168.0.3, 192.168.0.4] }`,
      ]),
    );
    const [first, second] = lab.servers;
    const agents = [
      await startAgent(first!, '--vip', '192.168.0.101', '--agent-check', ':5555', '--drain', '2'),
      await startAgent(second!, '--vip', '192.168.0.101'),
    ];
    // The second run has the output that the test expects.
    const words = second!.spawn([
      process.execPath,
      '-e',
      `let words = 'up ready 50%';
       process.stdin.on('data', (text) => { words = String(text).trim(); });
       require('node:net').createServer((socket) => socket.end(words + '\\n')).listen(5555, () => console.log('ready'));`,
    ]);
    await words.line(/^ready$/);
    const program = await startDirector(lab.director, config);
    const weight = (n: number, pattern: string) =>
      program.line(new RegExp(` destination=192\\.168\\.0\\.4:80 weight=${n} cause="${pattern}"`));
    await weight(80, 'agent: up ready 50%');
    await weight(60, 'agent: up ready 50%');
    await weight(50, 'agent: up ready 50%');
    words.write('drain\n');
    await weight(0, 'agent: drain');
    words.write('ready 50%\n');
    await program.line(/check-up .*192\.168\.0\.4:80 weight=50/);
    const lines = program.lines.length;
    await agents[0]!.stop();
    await program.line(
      /check-drained .*destination=192\.168\.0\.3:80 weight=0 cause="agent: drain"/,
      PATIENCE,
      lines,
    );
    await program.line(
      /warning check-down .*destination=192\.168\.0\.3:80 weight=0 cause="connection refused"/,
      PATIENCE,
      lines,
    );
  });
});

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lab } from '../support/lab.ts';
import type { LabHost } from '../support/lab-host.ts';
import { conf, realserver, startAgent, startServers } from '../support/lvs-programs.ts';
import { probeNamespaces } from '../support/namespaces.ts';
import { PATIENCE } from '../support/program.ts';
import { built, notBuilt } from '../support/project.ts';

const missing = probeNamespaces();
const why = missing
  ? `${missing.what}: ${missing.why}`
  : notBuilt('src/cli/realserver', 'test/support/arp-watch');

/** Everything that the agent may change, as the kernel tells it. */
const stateOf = async (host: LabHost) =>
  await host.exec(
    'ip -o address show; ip -o link show up; ip route; sysctl net.ipv4.conf.all net.ipv4.conf.lo; nft list ruleset; ls /run/lvs',
  );
const agent = (host: LabHost, ...words: string[]) => host.run([...realserver, ...words]);

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

describe.skipIf(why !== undefined)('the agent of a real server', () => {
  let lab: Lab;
  let rs: LabHost;
  beforeAll(async () => {
    lab = await Lab.create({ ipv6: true });
    rs = lab.host('rs1');
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  test.each([
    ['direct routing', ['--vip', '192.168.0.101,FD00:0::101'], /inet 192\.168\.0\.101\/32.* lo/],
    ['an alias', ['--vip', '192.168.0.101', '--device', 'lo:1'], /inet 192\.168\.0\.101\/32.* lo:1/],
    ['a tunnel', ['--vip', '192.168.0.101,fd00::101', '--method', 'tunnel'], /inet6 fd00::101\/128/],
    ['nat', ['--method', 'nat', '--gateway', '192.168.0.1'], /default via 192\.168\.0\.1 /],
    ['the classic file', ['--config', conf('lvs.conf')], /inet 192\.168\.0\.101\/32/],
  ])('restores everything on exit: %s', async (_name, options, sign) => {
    const before = await stateOf(rs);
    const running = await startAgent(rs, ...options);
    expect(await stateOf(rs)).toMatch(sign);
    expect(await running.stop()).toBe(0);
    expect(await stateOf(rs)).toBe(before);
  });

  test('restores settings that were not the default', async () => {
    await rs.exec(
      'sysctl -qw net.ipv4.conf.all.arp_ignore=2; ip route add default via 192.168.0.200 metric 7',
    );
    const before = await stateOf(rs);
    const running = await startAgent(rs, '--method', 'nat', '--gateway', '192.168.0.1');
    expect(await rs.exec('ip route get 203.0.113.1')).toContain('via 192.168.0.1 ');
    await running.stop();
    const other = await startAgent(rs, '--vip', '192.168.0.101');
    await other.stop('SIGINT');
    expect(await stateOf(rs)).toBe(before);
    await rs.exec('sysctl -qw net.ipv4.conf.all.arp_ignore=0; ip route del default');
  });

  test('restores everything after a kill -9, with restore', async () => {
    const before = await stateOf(rs);
    const running = await startAgent(rs, '--vip', '192.168.0.101', '--method', 'tunnel');
    await running.stop('SIGKILL');
    const { status, stdout } = await agent(rs, 'status');
    expect(status).toBe(3);
    expect(stdout).toContain('no agent runs; lvs-realserver restore undoes');
    expect((await agent(rs, 'restore')).status).toBe(0);
    expect(await stateOf(rs)).toBe(before);
  });

  test('restores at the next start after a kill -9 what it does not need', async () => {
    const before = await stateOf(rs);
    await (await startAgent(rs, '--vip', '192.168.0.101,192.168.0.102', '--device', 'lo:1')).stop('SIGKILL');
    const next = await startAgent(rs, '--vip', '192.168.0.102', '--device', 'lo:1');
    expect(await rs.exec('ip -o address show dev lo')).not.toContain('192.168.0.101');
    expect(await rs.exec('ip -o address show dev lo')).toContain('192.168.0.102');
    await next.stop();
    expect(await stateOf(rs)).toBe(before);
  });

  test('--once leaves, and restore undoes', async () => {
    const before = await stateOf(rs);
    expect((await agent(rs, 'run', '--vip', '192.168.0.101', '--once')).status).toBe(0);
    expect(await rs.exec('ip -o address show dev lo')).toContain('192.168.0.101/32');
    expect((await agent(rs, 'run', '--vip', '192.168.0.101', '--once')).status).toBe(0);
    await agent(rs, 'restore');
    expect(await stateOf(rs)).toBe(before);
  });

  test('refuses a second agent, which changes nothing', async () => {
    await using running = await startAgent(rs, '--vip', '192.168.0.101');
    const between = await stateOf(rs);
    const second = await agent(rs, 'run', '--vip', '192.168.0.102');
    expect(second.status).toBe(1);
    expect(second.stderr).toContain(`agent: already running as process ${running.pid}`);
    expect((await agent(rs, 'restore')).status).toBe(1);
    expect(await stateOf(rs)).toBe(between);
  });

  test('reports with status its changes, and what others changed since', async () => {
    await using running = await startAgent(rs, '--vip', '192.168.0.101');
    const first = await agent(rs, 'status', '--json');
    expect(first.status).toBe(0);
    expect(JSON.parse(first.stdout)).toMatchObject({
      pid: running.pid,
      changes: [
        { what: 'net.ipv4.conf.all.arp_ignore = 1', before: '0', inPlace: true },
        { what: 'net.ipv4.conf.all.arp_announce = 2', before: '0', inPlace: true },
        { what: 'VIP 192.168.0.101 on lo', before: 'absent', inPlace: true },
      ],
    });
    await rs.exec('sysctl -qw net.ipv4.conf.all.arp_ignore=0');
    expect((await agent(rs, 'status')).stdout).toMatch(/arp_ignore = 1 .*CHANGED SINCE/);
  });

  test('adds no VIP to a device that answers ARP', async () => {
    const before = await stateOf(rs);
    const { status, stderr } = await agent(rs, 'run', '--vip', '192.168.0.101', '--device', 'eth0');
    expect(status).toBe(2);
    expect(stderr).toContain('device eth0 of the VIP: answers ARP');
    expect(await stateOf(rs)).toBe(before);
  });

  test('undoes its other changes when one fails', async () => {
    const before = await stateOf(rs);
    const { status, stderr } = await agent(rs, 'run', '--method', 'nat', '--gateway', '10.9.9.9');
    expect(status).toBe(1);
    expect(stderr).toContain('10.9.9.9');
    expect(await stateOf(rs)).toBe(before);
  });

  test('never sends or answers ARP for the VIP: at start, while it runs and at stop', async () => {
    await using server = await startServers(rs, 1);
    await using watch = rs.spawn([...built('test/support/arp-watch'), 'eth0']);
    await watch.line(/^watching$/);
    const ask = lab.client.spawn([
      process.execPath,
      '-e',
      // Asks without a pause: an attempt each time that the last one is over.
      `const {connect} = require('node:net');
       const again = () => connect({host: '192.168.0.101', port: 80}).on('connect', () => console.log('ANSWERED')).on('error', again).setTimeout(40, function () { this.destroy(); again(); });
       again();`,
    ]);
    const asked = /^request 192\.168\.0\.200 192\.168\.0\.101$/;
    await watch.line(asked);
    const running = await startAgent(rs, '--vip', '192.168.0.101');
    await watch.line(asked, PATIENCE, watch.lines.length);
    // The server sends from the VIP to an unresolved neighbor, which then resolves the VIP.
    const from = watch.lines.length;
    await rs.exec('ip neigh flush all');
    await using _speaking = rs.spawn('curl -s --interface 192.168.0.101 http://192.168.0.1:9/');
    await watch.line(/^request 192\.168\.0\.3 192\.168\.0\.1$/, PATIENCE, from);
    await watch.line(/^request 192\.168\.0\.1 192\.168\.0\.101$/, PATIENCE, from);
    await running.stop();
    await watch.line(asked, PATIENCE, watch.lines.length);
    await ask.stop();
    // The client and the peer of the server send requests.
    const question = /^request 192\.168\.0\.(200|1) 192\.168\.0\.101$/;
    const ofTheServer = watch.lines.filter((line) => line.includes('192.168.0.101') && !question.test(line));
    expect(ofTheServer).toEqual([]);
    expect(ask.output).not.toContain('ANSWERED');
    expect(server.running).toBe(true);
  });
});

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { Lab } from '../support/lab.ts';
import { director as command, startAgent, startDirector, startServers } from '../support/lvs-programs.ts';
import { PATIENCE, type Program } from '../support/program.ts';
import { built } from '../support/project.ts';

const why = clusterMissing();

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

const VIP = '192.168.0.101';
const VIP6 = 'fd00::101';
const METRICS = '127.0.0.1:9112';
const file = (vips: string, address = VIP) => `method: dr
vips: [${vips}]
services:
  - { tcp: '${address}:80', scheduler: rr, destinations: [192.168.0.3] }
  - { tcp: '[${VIP6}]:80', scheduler: rr, destinations: ['[fd00::3]'] }
`;
const ON_ETH0 = `{ interface: eth0, address: ${VIP}, prefix: 24 }, { interface: eth0, address: '${VIP6}', prefix: 64 }`;

describe.skipIf(why !== undefined)('a VIP', () => {
  let lab: Lab;
  let watch: Program;

  beforeEach(async () => {
    lab = await Lab.create({ servers: 1, ipv6: true });
    const rs = lab.host('rs1');
    await startAgent(rs, '--vip', `${VIP},${VIP6}`);
    await startServers(rs, 1);
    watch = lab.client.spawn([...built('test/support/arp-watch'), 'eth0']);
    await watch.line(/^watching$/);
  });
  afterEach(() => lab?.[Symbol.asyncDispose]());

  const written = (text: string): string => {
    const path = join(lab.folder, 'lvs.yaml');
    writeFileSync(path, text);
    return path;
  };
  const heard = (line: string, from: number) =>
    watch.lines.slice(from).filter((each) => each === line).length;
  const ANNOUNCED = `request ${VIP} ${VIP}`;
  const ANNOUNCED6 = `advertisement ${VIP6} ${VIP6}`;
  const PROBED = `request 0.0.0.0 ${VIP}`;
  const PROBED6 = `solicitation :: ${VIP6}`;
  /** Resolves when the line was seen so many times since. */
  const seen = (line: string, count: number, from: number) =>
    expect.poll(() => heard(line, from), { timeout: PATIENCE, interval: 50 }).toBeGreaterThanOrEqual(count);
  const readyz = () => lab.director.exec(`curl -sS --max-time 30 http://${METRICS}/readyz`);
  const metric = async (name: string) => {
    const text = await lab.director.exec(`curl -sS --max-time 30 http://${METRICS}/metrics`);
    return text.split('\n').find((line) => line.startsWith(name));
  };

  test('is probed, and announced when it is added, returns or has another MAC, and clients follow at once', async () => {
    await startDirector(lab.director, written(file(ON_ETH0)), '--metrics');
    // Five at once, and five more 5 s later.
    for (const line of [ANNOUNCED, ANNOUNCED6]) await seen(line, 10, 0);
    for (const line of [PROBED, PROBED6]) expect(heard(line, 0)).toBe(1);
    const get = () => lab.client.run(`curl -sS --max-time 30 http://${VIP}/`);
    expect((await get()).stdout).toBe('I am real server #1\n');

    // Another MAC address: the client's entry changes with the announcement, without a question.
    let from = watch.lines.length;
    await lab.director.exec('ip link set eth0 address 02:00:00:00:00:99');
    await seen(ANNOUNCED, 5, from);
    await seen(ANNOUNCED6, 5, from);
    expect(await lab.client.exec(`ip neigh show ${VIP}`)).toContain('02:00:00:00:00:99');
    await expect.poll(async () => (await get()).stdout, { timeout: PATIENCE }).toBe('I am real server #1\n');

    from = watch.lines.length;
    await lab.director.exec(`ip address del ${VIP}/32 dev eth0`);
    await seen(ANNOUNCED, 5, from);
    expect(heard(PROBED, from)).toBe(0);

    expect(await readyz()).toBe('ready');
    expect(await metric('lvs_conditions{condition="vip-conflict"}')).toMatch(/ 0$/);
    expect(Number((await metric('lvs_vip_announcements_total'))!.split(' ')[1])).toBeGreaterThanOrEqual(35);
  });

  test('is announced when another director takes it over, and clients reach that one at once', async () => {
    const config = written(file(ON_ETH0));
    const first = await startDirector(lab.director, config);
    const get = () => lab.client.run(`curl -sS --max-time 30 http://${VIP}/`);
    expect((await get()).stdout).toBe('I am real server #1\n');
    // The host dies with its director: nothing releases the VIP.
    first.signal('SIGKILL');
    await lab.director.exec('ip link set eth0 down');
    // The second director: another network card of the same segment.
    await lab.director.exec('ip link set eth0 address 02:00:00:00:00:77; ip link set eth0 up');
    await lab.director.exec('ip address add fd00::1/64 dev eth0 nodad 2>/dev/null || true');
    const from = watch.lines.length;
    await startDirector(lab.director, config, '--socket', '/run/lvs/second.sock');
    await seen(ANNOUNCED, 5, from);
    expect(await lab.client.exec(`ip neigh show ${VIP}`)).toContain('02:00:00:00:00:77');
    expect((await get()).stdout).toBe('I am real server #1\n');
  });

  test('that another host has is reported, also when that host adds it later', async () => {
    const rs = lab.host('rs1');
    // A second owner: another machine of the segment.
    await lab.client.exec(`ip address add ${VIP}/32 dev eth0`);
    const director = await startDirector(lab.director, written(file(ON_ETH0)), '--metrics');
    await director.line(/warning vip-conflict vip=192\.168\.0\.101 interface=eth0 mac=02:00:00:00:00:c8/);
    expect(await readyz()).toBe(
      `ready, but degraded: another host (02:00:00:00:00:c8) answers for the VIP ${VIP} on eth0`,
    );
    expect(await metric('lvs_conditions{condition="vip-conflict"}')).toMatch(/ 1$/);
    // A later one announces itself.
    await rs.exec(`sysctl -qw net.ipv4.conf.all.arp_ignore=0 net.ipv4.conf.eth0.arp_notify=1`);
    await rs.exec(`ip address add ${VIP}/24 dev eth0; ip link set eth0 down; ip link set eth0 up`);
    await director.line(/warning vip-conflict vip=192\.168\.0\.101 interface=eth0 mac=02:00:00:00:00:03/);
  });

  test('that another host no longer has is no conflict after two probes without an answer', async () => {
    await lab.director.exec(`ip address add ${VIP}/32 dev eth0`);
    await lab.client.exec(`ip address add ${VIP}/32 dev eth0`);
    const program = lab.director.spawn([...built('test/support/vip-watch'), VIP, 'eth0']);
    await program.line(/^conflicts none$/);
    /** Advances the clock by 40 s, and resolves when the probe has been sent. */
    const advance = async () => {
      const from = watch.lines.length;
      program.signal('SIGUSR2');
      await seen(PROBED, 1, from);
    };
    await advance();
    await program.line(/^conflicts 02:00:00:00:00:c8$/);
    // The answers to probes keep it.
    for (let i = 0; i < 3; i++) await advance();
    expect(program.lines.filter((line) => line.startsWith('conflicts'))).toHaveLength(2);
    await lab.client.exec(`ip address del ${VIP}/32 dev eth0`);
    const from = program.lines.length;
    await advance();
    await advance();
    await program.line(/^conflicts none$/, PATIENCE, from);
  });

  test('that several hosts share on purpose is neither probed nor announced, and reports nothing', async () => {
    await lab.client.exec(`ip address add ${VIP}/32 dev eth0`);
    const shared = `{ interface: eth0, address: ${VIP}, prefix: 24, shared: true }, { interface: eth0, address: '${VIP6}', prefix: 64, shared: true }`;
    const director = await startDirector(lab.director, written(file(shared)), '--metrics');
    // Longer than until the second set of announcements.
    await lab.director.exec('sleep 6');
    for (const line of [ANNOUNCED, ANNOUNCED6, PROBED, PROBED6]) expect(heard(line, 0)).toBe(0);
    expect(director.output).not.toContain('vip-conflict');
    expect(await readyz()).toBe('ready');
  });

  test('of two directors on one host is reported by both', async () => {
    const config = written(file(ON_ETH0));
    const first = await startDirector(lab.director, config, '--metrics');
    const second = await startDirector(lab.director, config, '--socket', '/run/lvs/second.sock');
    await second.line(/warning other-director pid=\d+ services="tcp 192\.168\.0\.101:80/);
    await first.line(/warning other-director pid=\d+/);
    expect(await readyz()).toMatch(/degraded: the director with process id \d+ on this host serves tcp 192/);
    await second.stop();
    await first.line(/info other-director-ended/);
    expect(await readyz()).toBe('ready');
  });

  test.each(['live', 'tc'])(
    'on lo, and one that is reached by a second interface, is served (--datapath %s)',
    async (datapath) => {
      const onLo = '10.9.9.9';
      await lab.client.exec(`ip route add ${onLo}/32 via 192.168.0.1`);
      await lab.host('rs1').exec(`ip address add ${onLo}/32 dev lo`);
      const config = written(
        file(`{ interface: lo, address: ${onLo} }, ${ON_ETH0}`).replace(
          'services:',
          `services:\n  - { tcp: '${onLo}:80', scheduler: rr, destinations: [192.168.0.3] }`,
        ),
      );
      // A second card on the same segment: a macvlan, which the segment knows as another machine.
      await lab.director.exec(
        'ip link add eth9 link eth0 type macvlan mode bridge; ip link set eth9 address 02:00:00:00:00:55 up; ip address add 192.168.0.11/24 dev eth9',
      );
      const director = await startDirector(lab.director, config, '--metrics', '--datapath', datapath);
      const get = (address: string) => lab.client.run(`curl -sS --max-time 30 http://${address}/`);
      expect((await get(onLo)).stdout).toBe('I am real server #1\n');
      await lab.client.exec(`ip neigh replace ${VIP} lladdr 02:00:00:00:00:55 dev eth0 nud permanent`);
      expect((await get(VIP)).stdout).toBe('I am real server #1\n');
      // A third one appears while the director runs.
      await lab.director.exec(
        'ip link add eth8 link eth0 type macvlan mode bridge; ip link set eth8 address 02:00:00:00:00:44 up; ip address add 192.168.0.12/24 dev eth8',
      );
      await director.line(/info interface-added interface=eth8/);
      await lab.client.exec(`ip neigh replace ${VIP} lladdr 02:00:00:00:00:44 dev eth0 nud permanent`);
      expect((await get(VIP)).stdout).toBe('I am real server #1\n');
      expect(await readyz()).toBe('ready');
    },
  );

  test('reached by an interface that --interface leaves out is reported', async () => {
    await lab.director.exec(
      'ip link add eth9 link eth0 type macvlan mode bridge; ip link set eth9 up; ip address add 192.168.0.11/24 dev eth9',
    );
    await startDirector(lab.director, written(file(ON_ETH0)), '--metrics', '--interface', 'eth0');
    expect(await readyz()).toBe(
      'ready, but degraded: packets that arrive at eth9 do not reach the director: not named by --interface',
    );
  });

  test('is served by a mark that a reload adds, by programs of the kernel', async () => {
    const config = written(file(ON_ETH0));
    const director = await startDirector(lab.director, config, '--metrics', '--datapath', 'tc');
    writeFileSync(
      config,
      `marks: [{ mark: 7, to: ${VIP} }]\n${file(ON_ETH0).replace(`tcp: '${VIP}:80'`, 'mark: 7')}`,
    );
    for (const words of [['plan', config], ['reload']])
      expect((await lab.director.run([...command, ...words])).status).toBe(0);
    await director.line(/info reloaded/);
    const get = async () => (await lab.client.run(`curl -sS --max-time 30 http://${VIP}/`)).stdout;
    const upcalls = async () =>
      Number(await lab.director.exec('cat /sys/class/net/lvs-upcall/statistics/tx_packets'));
    // The first ones show where the client is.
    for (let before = -1; before !== (await upcalls()); ) {
      before = await upcalls();
      expect(await get()).toBe('I am real server #1\n');
    }
    expect(await readyz()).toBe('ready');
  });

  test('whose packets an output chain drops is reported with the chain', async () => {
    const director = await startDirector(
      lab.director,
      written(file(ON_ETH0)),
      '--metrics',
      '--datapath',
      'live',
    );
    await lab.director.exec(
      "nft 'add table inet fw; add chain inet fw out { type filter hook output priority 0; policy drop; }; add rule inet fw out oifname lo accept'",
    );
    await lab.client.run(`curl -sS --max-time 1 http://${VIP}/`);
    await director.line(/error packets-refused packets=\d+ reason="inet fw out"/);
    await expect
      .poll(readyz, { timeout: PATIENCE, interval: 100 })
      .toBe(
        "ready, but degraded: the host's packet filter drops packets that the director sends (inet fw out)",
      );
    expect(await metric('lvs_driver_send_failures_total')).toContain('Operation not permitted');
  });
});

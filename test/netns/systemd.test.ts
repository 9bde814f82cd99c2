/** The units under a real systemd: what a restart, a crash, an upgrade and a stop do to connections and to the host. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { lacking } from '../support/debian.ts';
import { kernel } from '../support/ebpf/kernel.ts';
import { Lab } from '../support/lab.ts';
import { startServers } from '../support/lvs-programs.ts';
import { SteadyLoad } from '../support/steady-load.ts';
import { SystemdHost, systemdMissing } from '../support/systemd-host.ts';

const noBird = lacking('/usr/sbin/bird', 'bird2');
const why = clusterMissing() ?? ('why' in kernel ? kernel.why : undefined) ?? systemdMissing();

const UNIT = 'lvs-director.service';
const HELD = 100;
const PER_SECOND = 20;
/** Time after which a new connection has failed, ms: three times what clients should wait at most, for other load. */
const FAILED_MS = 9000;

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));
test('bird2 is installed', ({ skip }) => skip(noBird !== undefined, noBird));

describe.skipIf(why !== undefined)('the unit of the director', () => {
  let lab: Lab;
  let host: SystemdHost;
  let client: SteadyLoad;
  let clean: string;

  const yaml = () => `method: nat
vips:
  - { interface: eth0, address: ${lab.vip}, prefix: 24 }
services:
  - tcp: ${lab.vip}:80
    scheduler: wlc
    destinations: [${lab.servers.map(({ address }) => `${address}:80`).join(', ')}]
`;
  /** Addresses and rules of the host, and what is pinned. */
  const state = () =>
    host.exec([
      'sh',
      '-c',
      "ip -o address show | awk '{ print $2, $4 }'; nft list ruleset; ip -br link; find /run/lvs-bpf -mindepth 1",
    ]);
  const mainProcess = () => host.property(UNIT, 'MainPID');

  beforeAll(async () => {
    lab = await Lab.create({ shape: 'nat' });
    await Promise.all(lab.servers.map((server, i) => startServers(server, i + 1)));
    host = await SystemdHost.start(lab.director);
    host.write('/etc/lvs/lvs.yaml', yaml());
    // The bpf file system stays mounted.
    await host.exec(['systemctl', 'start', UNIT]);
    await host.exec(['systemctl', 'stop', UNIT]);
    clean = await state();
    await host.exec(['systemctl', 'start', UNIT]);
    const load = { vip: lab.vip, held: HELD, perSecond: PER_SECOND, limit: FAILED_MS, interval: 200 };
    client = await SteadyLoad.start(lab.client, load);
  });
  afterAll(async () => {
    await host?.[Symbol.asyncDispose]();
    await lab?.[Symbol.asyncDispose]();
  });

  test('the user of the unit keeps the kernel path, and runs without a warning', async () => {
    const journal = await host.journal(UNIT);
    expect(journal).toMatch(/datapath-chosen datapath=(tc|xdp)/);
    expect(journal).not.toMatch(/\bwarning\b|\berror\b/);
    expect(await host.exec(['ps', '-o', 'user=', '-p', await mainProcess()])).toBe('lvs');
    expect(await host.exec(['find', '/run/lvs-bpf', '-mindepth', '2'])).not.toBe('');
  });

  test('systemctl restart loses no connection, and no new one fails', async () => {
    const former = await mainProcess();
    await host.exec(['systemctl', 'restart', UNIT]);
    expect(await mainProcess()).not.toBe(former);
    expect(await host.journal(UNIT)).toMatch(/path-adopted connections=[1-9]/);
    expect(await client.seen()).toMatchObject({ lost: 0, failed: 0 });
  });

  test('systemd starts a director that was killed, and no connection is lost', async () => {
    const former = await mainProcess();
    await host.exec(['kill', '-9', former]);
    await expect.poll(() => host.property(UNIT, 'NRestarts')).toBe('1');
    await expect.poll(() => host.property(UNIT, 'ActiveState')).toBe('active');
    expect(await mainProcess()).not.toBe(former);
    expect(await client.seen()).toMatchObject({ lost: 0, failed: 0 });
  });

  test('systemctl reload applies a valid file, and reports an invalid one', async () => {
    host.write('/etc/lvs/lvs.yaml', yaml().replace('wlc', 'rr'));
    await host.exec(['systemctl', 'reload', UNIT]);
    expect(await host.exec(['ipvsadm', '-Ln'])).toMatch(/^TCP .*:80 rr/m);
    host.write('/etc/lvs/lvs.yaml', 'services: 3\n');
    expect((await host.run(['systemctl', 'reload', UNIT])).status).not.toBe(0);
    expect(await host.property(UNIT, 'ActiveState')).toBe('active');
    expect(await client.seen()).toMatchObject({ lost: 0, failed: 0 });
    host.write('/etc/lvs/lvs.yaml', yaml());
    await host.exec(['systemctl', 'reload', UNIT]);
  });

  test('stop --keep reports that nothing is kept without pins', async () => {
    await client.stop();
    host.write('/etc/default/lvs-director', 'LVS_OPTIONS=--pins /tmp/none\n');
    await host.exec(['systemctl', 'restart', UNIT]);
    expect(await host.journal(UNIT)).toMatch(/pins-unavailable/);
    expect(await host.exec(['lvs-director', 'stop', '--keep'])).toMatch(/^stopped, and nothing is kept: /);
    host.write('/etc/default/lvs-director', '');
  });

  test('systemctl stop leaves the host clean, and an invalid file is not started again and again', async () => {
    await host.exec(['systemctl', 'start', UNIT]);
    await host.exec(['systemctl', 'stop', UNIT]);
    expect(await state()).toBe(clean);
    host.write('/etc/lvs/lvs.yaml', 'services: 3\n');
    expect((await host.run(['systemctl', 'start', UNIT])).status).not.toBe(0);
    expect(await host.property(UNIT, 'ActiveState')).toBe('failed');
    expect(await host.property(UNIT, 'ExecMainStatus')).toBe('2');
    expect(await host.journal(UNIT)).toMatch(/services/);
  });
});

test.skipIf(why !== undefined)(
  'the unit of the agent gives a server the VIP, and takes it back at its stop',
  async () => {
    await using lab = await Lab.create({ shape: 'dr' });
    const server = lab.servers[0]!;
    await using host = await SystemdHost.start(server);
    const role = () =>
      server.exec(
        'ip -o address show | cut -d" " -f 2-7; sysctl net.ipv4.conf.all.arp_ignore net.ipv4.conf.lo.arp_ignore',
      );
    const before = await role();
    host.write(
      '/etc/lvs/lvs.yaml',
      `method: dr
vips: [{ interface: eth0, address: ${lab.vip}, prefix: 24 }]
services: [{ tcp: '${lab.vip}:80', destinations: [${server.address}] }]
`,
    );
    await host.exec(['systemctl', 'start', 'lvs-realserver']);
    const taken = await role();
    expect(taken).toContain(lab.vip);
    expect(taken).toMatch(/arp_ignore = 1/);
    await host.exec(['kill', '-9', await host.property('lvs-realserver', 'MainPID')]);
    await expect.poll(() => host.property('lvs-realserver', 'NRestarts')).toBe('1');
    await expect.poll(() => host.property('lvs-realserver', 'ActiveState')).toBe('active');
    expect(await role()).toBe(taken);
    await host.exec(['systemctl', 'stop', 'lvs-realserver']);
    expect(await role()).toBe(before);
    expect(await host.journal('lvs-realserver')).not.toMatch(/\bwarning\b|\berror\b/i);
  },
);

test.skipIf(why !== undefined || noBird !== undefined)(
  'the unit withdraws what a killed director announced',
  async () => {
    await using lab = await Lab.create({ shape: 'dr' });
    await using host = await SystemdHost.start(lab.director);
    const vip = '10.99.0.1';
    host.write(
      '/etc/bird/bird.conf',
      'router id 192.0.2.1; protocol device { }\ninclude "/run/lvs*/announce.conf";\n',
    );
    await host.exec(['sh', '-c', 'install -d -o bird -g bird /run/bird && bird -u bird -g bird']);
    // As the documentation says; and no restart, which would announce them again.
    await host.exec(['mkdir', '/etc/systemd/system/lvs-director.service.d']);
    host.write(
      '/etc/systemd/system/lvs-director.service.d/test.conf',
      '[Service]\nSupplementaryGroups=bird\nRestart=no\n',
    );
    await host.exec(['systemctl', 'daemon-reload']);
    host.write('/etc/default/lvs-director', 'LVS_OPTIONS=--datapath live --interface eth0\n');
    host.write(
      '/etc/lvs/lvs.yaml',
      `method: dr\nannounce: { rise: 0, bird: {} }\nservices: [{ tcp: '${vip}:80', destinations: [${lab.servers[0]!.address}] }]\n`,
    );
    await host.exec(['systemctl', 'start', UNIT]);
    const protocols = () => host.exec(['birdc', 'show', 'protocols', '"lvs_*"']);
    await expect.poll(protocols).toMatch(/lvs_10_99_0_1 +Static +\S+ +up/);
    await host.exec(['systemctl', 'kill', '--signal', 'SIGKILL', '--kill-whom', 'all', UNIT]);
    await expect.poll(protocols).toMatch(/lvs_10_99_0_1 +Static +\S+ +down/);
    expect(await host.property(UNIT, 'ActiveState')).toBe('failed');
  },
);

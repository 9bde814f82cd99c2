/** Servers that join by themselves: agents announce them by heartbeats to a group, and directors add them. */
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { Lab } from '../support/lab.ts';
import type { LabHost } from '../support/lab-host.ts';
import {
  ipvsadm,
  director as lvs,
  realserver,
  startAgent,
  startDirector,
  startServers,
} from '../support/lvs-programs.ts';
import { PATIENCE, type Program } from '../support/program.ts';
import { built } from '../support/project.ts';
import { SteadyLoad } from '../support/steady-load.ts';

const why = clusterMissing();

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

/** Servers that join from one host; 50 take longer. */
const MANY = Number(process.env['LVS_JOIN_SERVERS'] ?? 8);
const METRICS = '127.0.0.1:9112';
const KEY = '0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n';
const OTHER_KEY = KEY.replaceAll('0', 'f');

const configuration = (keyFile: string, networks: string) => `method: nat
vips:
  - { interface: eth0, address: 192.168.0.101, prefix: 24 }
drain: 20
join: { interface: eth1, key-file: ${keyFile}, networks: [${networks}] }
services:
  - tcp: '192.168.0.101:80'
    name: web
    scheduler: wrr
    check: { type: tcp, interval: 1, timeout: 1, fall: 2, rise: 2 }
    join: { max-servers: 100, slow-start: 2 }
    destinations: []
  - { tcp: '192.168.0.101:23', scheduler: rr, destinations: [192.168.1.3:23] }
`;

/** Waits until `look` returns what is so. */
const until = <T>(look: () => Promise<T>, isSo: (value: T) => boolean): Promise<void> =>
  expect.poll(look, { timeout: PATIENCE }).toSatisfy(isSo);

/** Weights of the web service's servers, by address. */
async function weights(director: LabHost): Promise<Record<string, number>> {
  const list = await director.exec([...ipvsadm, '-Ln', '-t', '192.168.0.101:80']);
  const found = [...list.matchAll(/-> ([\d.]+):80 +Masq +(\d+)/g)];
  return Object.fromEntries(found.map(([, address, weight]) => [address!, Number(weight)]));
}

describe.skipIf(why)('servers join', () => {
  let lab: Lab;
  let keyFile: string;
  let config: string;
  let director: Program;
  const agents: Program[] = [];
  const start = () => startDirector(lab.director, config, '--metrics', METRICS);
  const now = () => weights(lab.director);
  const curl = (path: string) => lab.director.exec(['curl', '-s', `http://${METRICS}${path}`]);
  const destination = async (address: string) => {
    const { services } = JSON.parse(await curl('/api/v1/snapshot'));
    return services
      .flatMap((each: { destinations: { address: string }[] }) => each.destinations)
      .find((each: { address: string }) => each.address === address);
  };
  const agent = async (i: number, ...more: string[]) => {
    const host = lab.servers[i]!;
    const options = ['--config', config, '--net-device', 'eth0', '--join', '--join-name', `server${i + 1}`];
    // The load of this machine would change the weight.
    const full = join(lab.folder, 'full');
    writeFileSync(full, 'up ready 100%\n');
    const words = more.includes('--words-file') ? [] : ['--words-file', full];
    const program = await startAgent(host, ...options, '--join-key-file', keyFile, ...words, ...more);
    agents.push(program);
    return program;
  };

  beforeAll(async () => {
    lab = await Lab.create({ shape: 'nat', servers: 3, pair: false });
    keyFile = join(lab.folder, 'join.key');
    config = join(lab.folder, 'lvs.yaml');
    writeFileSync(keyFile, KEY, { mode: 0o600 });
    writeFileSync(config, configuration(keyFile, '192.168.1.0/24'));
    await Promise.all(lab.servers.map((host, i) => startServers(host, i + 1)));
    director = await start();
  });
  afterEach(async () => {
    await Promise.all(agents.splice(0).map((each) => each.stop()));
    await until(now, (all) => Object.keys(all).length === 0);
  });
  afterAll(async () => {
    await lab?.[Symbol.asyncDispose]();
  });

  test('with slow start and checks, and survive a reload and a restart of the director', async () => {
    const words = join(lab.folder, 'words');
    writeFileSync(words, 'up ready 50%\n');
    const first = await agent(0, '--words-file', words);
    await first.line(/receives the heartbeats of this server/);
    await agent(1);
    await until(now, (all) => all['192.168.1.3'] === 50 && all['192.168.1.4'] === 100);
    writeFileSync(words, 'up ready 20%\n');
    await until(now, (all) => all['192.168.1.3'] === 20);
    expect(await destination('192.168.1.3')).toMatchObject({
      name: 'server1',
      weight: 20,
      joined: { server: 'server1', state: 'up', weight: 20 },
      check: { state: 'up' },
    });
    expect(await curl('/')).toContain('server1');
    expect(JSON.parse(await lab.director.exec([...lvs, 'joined', '--json']))).toEqual([
      {
        ...{ server: 'server1', source: 'heartbeats', weight: 20, announced: 20, state: 'up' },
        service: { protocol: 'tcp', address: '192.168.0.101', port: 80 },
        destination: { address: '192.168.1.3', port: 80 },
        since: expect.stringMatching(/^20.*Z$/),
      },
      expect.objectContaining({ server: 'server2' }),
    ]);
    const metrics = await curl('/metrics');
    expect(metrics).toMatch(/^lvs_joined_servers{state="up"} 2$/m);
    expect(metrics).toMatch(/^lvs_heartbeats_total{outcome="accepted"} [1-9]/m);

    expect(await lab.director.exec([...lvs, 'plan', config])).not.toContain('192.168.1.3');
    writeFileSync(config, configuration(keyFile, '192.168.1.0/24').replace('drain: 20', 'drain: 21'));
    const reloaded = await lab.director.exec([...lvs, 'reload']);
    expect(reloaded).not.toMatch(/manual|ipvsadm/);
    expect(await now()).toEqual({ '192.168.1.3': 20, '192.168.1.4': 100 });

    await director.stop();
    director = await start();
    expect(await now()).toEqual({ '192.168.1.3': 20, '192.168.1.4': 100 });
    // They are received again, and change their weights.
    writeFileSync(words, 'up ready 70%\n');
    await until(now, (all) => all['192.168.1.3'] === 70);
    await director.stop('SIGKILL');
    director = await start();
    // The last heartbeat before may not have been written.
    expect(Object.keys(await now())).toEqual(['192.168.1.3', '192.168.1.4']);
    await until(now, (all) => all['192.168.1.3'] === 70 && all['192.168.1.4'] === 100);
    writeFileSync(words, 'drain\n');
    await until(now, (all) => all['192.168.1.3'] === 0);
    const explained = await lab.director.exec([
      ...[...lvs, 'explain', '--from', '192.168.0.200:5', '--to', '192.168.0.101:80'],
    ]);
    expect(explained).toMatch(/server1.*weight 0.*the server announces that it drains/);
    expect(await curl('/')).toContain('the server announces that it drains');
  });

  test('and take the place of a destination of the file that drains', async () => {
    const dynamic = configuration(keyFile, '192.168.1.0/24');
    writeFileSync(config, dynamic.replace('destinations: []', 'destinations: [192.168.1.3:80]'));
    await lab.director.exec([...lvs, 'reload']);
    await until(now, (all) => all['192.168.1.3'] === 1);
    await using client = await SteadyLoad.start(lab.client, { vip: lab.vip, held: 4, perSecond: 0 });
    writeFileSync(config, dynamic);
    await lab.director.exec([...lvs, 'reload']);
    expect(await now()).toEqual({ '192.168.1.3': 0 });
    await agent(0);
    await until(now, (all) => all['192.168.1.3'] === 100);
    expect(await destination('192.168.1.3')).toMatchObject({ joined: { server: 'server1', state: 'up' } });
    expect(await client.seen()).toMatchObject({ lost: 0 });
    await client.stop();
  });

  test('and leave without a failed request', async () => {
    const first = await agent(0, '--drain', '10');
    await agent(1);
    await until(now, (all) => all['192.168.1.3'] === 100 && all['192.168.1.4'] === 100);
    await using client = await SteadyLoad.start(lab.client, { vip: lab.vip, held: 0, perSecond: 50 });
    expect(await first.stop('SIGTERM', PATIENCE)).toBe(0);
    await until(now, (all) => all['192.168.1.3'] === undefined);
    const { opened, failed } = await client.seen();
    expect(opened).toBeGreaterThan(20);
    expect(failed).toBe(0);
  });

  test('and get weight 0 when they are silent, and are removed', async () => {
    const first = await agent(0);
    await agent(1);
    await agent(2);
    await until(now, (all) => Object.values(all).filter((weight) => weight === 100).length === 3);
    await first.stop('SIGKILL');
    await director.line(/server-silent.*server1/);
    await until(now, (all) => all['192.168.1.3'] === 0);
    await until(now, (all) => all['192.168.1.3'] === undefined);
    expect(await now()).toEqual({ '192.168.1.4': 100, '192.168.1.5': 100 });
  });

  test('only with the key, and only at addresses of the networks', async () => {
    const wrong = join(lab.folder, 'wrong.key');
    writeFileSync(wrong, OTHER_KEY, { mode: 0o600 });
    const from = director.lines.length;
    await agent(0, '--join-key-file', wrong);
    await director.line(/heartbeats-refused/, PATIENCE, from);
    await agent(1, '--join-address', '192.168.2.4');
    await director.line(/join-refused.*address.*192.168.2.4/, PATIENCE, from);
    expect(await now()).toEqual({});
    rmSync(wrong);
  });

  test('and the doctor finds why heartbeats cannot be received', async () => {
    const findings = async () => {
      const words = [...realserver, 'doctor', '--json', '--from-director', '--config', config];
      const { stdout } = await lab.director.run(words);
      const found: { name: string; what: string }[] = JSON.parse(stdout).findings;
      return found.flatMap(({ name, what }) => (name.startsWith('join-') ? `${name}: ${what}` : []));
    };
    expect(await findings()).toEqual([]);
    chmodSync(keyFile, 0o644);
    expect(await findings()).toEqual([expect.stringMatching(/^join-key: .*mode 0644: expected 0600/)]);
    chmodSync(keyFile, 0o600);
    await lab.director.exec('ip link set eth1 multicast off');
    expect(await findings()).toEqual(['join-interface: eth1 receives no multicast']);
    await lab.director.exec('ip link set eth1 multicast on');
    await director.stop();
    const argv = [
      process.execPath,
      '-e',
      "require('dgram').createSocket('udp4').bind(8850, () => console.log('bound'))",
    ];
    await using other = lab.director.spawn(argv);
    await other.line(/^bound$/);
    expect(await findings()).toEqual([
      expect.stringMatching(/^join-socket: .*224\.0\.0\.81, UDP port 8850: .*EADDRINUSE/),
    ]);
    await other.stop();
    director = await start();
  });
});

describe.skipIf(why)('many servers join', () => {
  let lab: Lab;
  let director: Program;
  let many: Program;
  const ADDRESSES = Array.from({ length: MANY }, (_, i) => `192.168.1.${100 + i}`);
  const HIDDEN = ADDRESSES.slice(0, Math.floor((MANY * 4) / 5));
  const now = () => weights(lab.director);
  const isWhole = (all: Record<string, number>, weight = 100) =>
    ADDRESSES.every((address) => all[address] === weight);

  beforeAll(async () => {
    lab = await Lab.create({ shape: 'nat', servers: 1, pair: true });
    const keyFile = join(lab.folder, 'join.key');
    writeFileSync(keyFile, KEY, { mode: 0o600 });
    const config = join(lab.folder, 'lvs.yaml');
    writeFileSync(config, configuration(keyFile, '192.168.1.96/27, 192.168.1.128/27'));
    const [host] = lab.servers;
    const lines = ADDRESSES.map((address) => `address add ${address}/24 dev eth0`);
    await host!.exec(['ip', '-batch', '-'], { input: `${lines.join('\n')}\n` });
    await startServers(host!, 1);
    director = await startDirector(lab.director, config, '--metrics', METRICS);
    await startDirector(lab.host('vs2'), config, '--standby');
    many = host!.spawn([
      ...built('test/support/join-agents'),
      ...['--interface', 'eth0', '--key-file', keyFile],
      ...['--service', 'tcp:192.168.0.101:80', '--words', lab.folder, ...ADDRESSES],
    ]);
    await many.line(/^ready$/);
  });
  afterAll(async () => {
    await lab?.[Symbol.asyncDispose]();
  });

  test('and move their weights', async () => {
    const began = performance.now();
    await until(now, (all) => isWhole(all));
    report('all have joined with their full weights', began);
    const moved = performance.now();
    for (let i = 1; i <= MANY; i++) writeFileSync(join(lab.folder, `words-${i}`), 'up ready 40%\n');
    await until(now, (all) => isWhole(all, 40));
    report('all weights have moved', moved);
  });

  test('both directors of a pair at the same time', async () => {
    await until(
      () => weights(lab.host('vs2')),
      (all) => isWhole(all, 40),
    );
  });

  test('and a flood with the wrong key removes none', async () => {
    const from = director.lines.length;
    many.write('flood 20000\n');
    await many.line(/^sent$/);
    await director.line(/heartbeats-refused/, PATIENCE, from);
    const metrics = await lab.director.exec(['curl', '-s', `http://${METRICS}/metrics`]);
    expect(metrics).toMatch(/^lvs_heartbeats_total{outcome="unauthenticated"} [1-9]/m);
    expect(isWhole(await now(), 40)).toBe(true);
    expect(director.lines.slice(from).join('\n')).not.toMatch(/server-silent|server-kept/);
  });

  test('and most of them are kept when they are silent at once', async () => {
    const host = lab.servers[0]!;
    // The digits of the name many01 are bytes 23 and 24 of a heartbeat, which follows a header of 8 bytes.
    const names = HIDDEN.map((_, i) => `0x${Buffer.from(String(i + 1).padStart(2, '0')).toString('hex')}`);
    const rule = `udp dport 8850 @th,248,16 { ${names.join(', ')} } drop`;
    const hide = `table ip hide { chain out { type filter hook output priority 0; ${rule}; }; }`;
    await host.exec(['nft', '-f', '-'], { input: hide });
    const began = performance.now();
    await director.line(/joined-servers-kept/);
    report('the loss of most servers is known', began);
    await until(
      () => lab.director.exec(['curl', '-s', `http://${METRICS}/metrics`]),
      (text) => new RegExp(`^lvs_joined_servers{state="kept"} ${HIDDEN.length}$`, 'm').test(text),
    );
    expect(isWhole(await now(), 40)).toBe(true);
    const listed = await lab.director.exec([...lvs, 'joined']);
    expect(listed.match(/ 40 +40 +kept /g)).toHaveLength(HIDDEN.length);
    expect(director.output).not.toMatch(/server-silent/);
    const page = await lab.director.exec(['curl', '-s', `http://${METRICS}/readyz`]);
    expect(page).toMatch(/^ready/);
    await host.exec(['nft', 'delete', 'table', 'ip', 'hide']);
    await director.line(/joined-servers-kept-ended/);
    expect(isWhole(await now(), 40)).toBe(true);
  });

  test('and leave without a failed request', async () => {
    await using client = await SteadyLoad.start(lab.client, { vip: lab.vip, held: 0, perSecond: 50 });
    const began = performance.now();
    for (let i = 2; i <= MANY; i++) many.write(`leave ${i}\n`);
    for (const host of [lab.director, lab.host('vs2')])
      await until(
        () => weights(host),
        (all) => Object.keys(all).length === 1,
      );
    report('all but one have left', began);
    const { opened, failed } = await client.seen();
    report(`${opened} connections, ${failed} failed`, began);
    expect(failed).toBe(0);
  });
});

/** Prints how long a step took, when figures are requested. */
function report(what: string, from: number): void {
  if (process.env['LVS_JOIN_SERVERS'] !== undefined)
    process.stderr.write(
      `${MANY} servers: ${what} after ${((performance.now() - from) / 1000).toFixed(1)} s\n`,
    );
}

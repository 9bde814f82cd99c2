/** Servers that share an address without a director: lvs-realserver run with mode nlb. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lab } from '../support/lab.ts';
import type { LabHost } from '../support/lab-host.ts';
import { realserver, startAgent, startServers } from '../support/lvs-programs.ts';
import { probeNamespaces } from '../support/namespaces.ts';
import type { Program } from '../support/program.ts';
import { built, notBuilt } from '../support/project.ts';

const missing = probeNamespaces();
const why = missing
  ? `${missing.what}: ${missing.why}`
  : notBuilt('src/cli/realserver', 'test/support/server', 'test/support/cluster-clients');

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

const VIP = '192.168.0.101';
const VIP6 = 'fd00::101';
const CLIENTS = Array.from({ length: 40 }, (_, i) => `192.168.0.${20 + i}`);
const CLIENTS6 = Array.from({ length: 10 }, (_, i) => `fd00::20:${i}`);

const file = (mac: string, servers: number) => `
mode: nlb
cluster:
  interface: eth0
  addresses: [${VIP}, '${VIP6}']
  mac: ${mac}
  heartbeat: 0.3
  missed: 6
  key: a secret of this laboratory
  hosts:
${Array.from({ length: servers }, (_, i) => `    - { server: rs${i + 1}, id: ${i + 1} }`).join('\n')}
  rules:
    - { tcp: 80 }
    - { tcp: 23, hosts: single, priorities: [rs2] }
`;

class Cluster {
  readonly lab: Lab;
  readonly config: string;
  readonly agents: Program[] = [];

  constructor(lab: Lab, mac: string) {
    this.lab = lab;
    this.config = join(lab.folder, 'lvs.yaml');
    writeFileSync(this.config, file(mac, lab.servers.length));
  }

  static async create(mac: string, servers = 3): Promise<Cluster> {
    const lab = await Lab.create({ servers, ipv6: true, offloads: 'off' });
    const cluster = new Cluster(lab, mac);
    const addresses = [
      ...CLIENTS.map((address) => `address add ${address}/24 dev eth0`),
      ...CLIENTS6.map((address) => `address add ${address}/64 dev eth0 nodad`),
    ];
    await lab.client.exec(['ip', '-batch', '-'], { input: `${addresses.join('\n')}\n` });
    await Promise.all(lab.servers.map((host, i) => startServers(host, i + 1)));
    cluster.agents.push(...(await Promise.all(lab.servers.map((host) => cluster.start(host)))));
    await cluster.converged(lab.servers.map(({ name }) => name));
    return cluster;
  }

  start(host: LabHost): Promise<Program> {
    return startAgent(host, '--config', this.config);
  }

  /** Resolves when the agents of these hosts have converged on these members. */
  async converged(names: readonly string[]): Promise<void> {
    const hosts = this.lab.servers.filter(({ name }) => names.includes(name));
    await Promise.all(
      hosts.map(async (host) => {
        while (true) {
          const { members, isConverged } = await this.status(host);
          if (isConverged && members.join() === names.join()) return;
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
      }),
    );
  }

  async status(host: LabHost) {
    const { stdout } = await host.run([...realserver, 'status', '--json']);
    return JSON.parse(stdout).cluster as {
      readonly members: readonly string[];
      readonly isConverged: boolean;
      readonly rules: readonly { readonly shares: Readonly<Record<string, number>> }[];
      readonly heartbeats: Readonly<Record<string, number>>;
      readonly connections: number;
    };
  }

  /** Returns the answers of the cluster to a connection from each address. */
  async ask(...words: string[]): Promise<Record<string, number>> {
    return JSON.parse(await this.lab.client.exec([...built('test/support/cluster-clients'), ...words]));
  }

  command(host: LabHost, ...words: string[]): Promise<string> {
    return host.exec([...realserver, ...words]);
  }
}

const from = (addresses: readonly string[]) => addresses.flatMap((address) => ['--from', address]);
const sum = (counts: Record<string, number>) => Object.values(counts).reduce((a, b) => a + b, 0);
/** Reports whether every answer came from a server. */
const answered = (counts: Record<string, number>) =>
  Object.keys(counts).every((name) => /^real server #\d$/.test(name));

/** Counts the first packets of clients, and what servers answer. */
const COUNT = `table inet counted {
  counter syn {}
  counter answers {}
  counter resets {}
  chain out { type filter hook output priority 0; tcp flags & (syn | ack) == syn counter name syn; }
  chain in {
    type filter hook input priority 0;
    tcp flags & (syn | ack) == (syn | ack) counter name answers;
    tcp flags & rst == rst counter name resets;
  }
}`;

describe.skipIf(why !== undefined)('three servers share an address', () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.create('unicast');
  });
  afterAll(() => cluster?.lab[Symbol.asyncDispose]());
  const rs = (number: number) => cluster.lab.servers[number - 1]!;

  test('by a unicast MAC address, which the switch does not learn, and each client gets one answer', async () => {
    const { lab } = cluster;
    await lab.client.exec(['nft', '-f', '-'], { input: COUNT });
    const four = await cluster.ask('--to', VIP, ...from(CLIENTS));
    const six = await cluster.ask('--to', VIP6, ...from(CLIENTS6));
    expect([sum(four), answered(four), sum(six), answered(six)]).toEqual([40, true, 10, true]);
    expect(Object.keys(four)).toHaveLength(3);
    const counted = await lab.client.exec('nft list counters');
    const counts = [...counted.matchAll(/counter (\w+) \{\s*packets (\d+)/g)].map(([, name, n]) => [
      name,
      Number(n),
    ]);
    const { syn, answers, resets } = Object.fromEntries(counts) as Record<
      'syn' | 'answers' | 'resets',
      number
    >;
    // A second server's answer would be one more than first packets; those that are repeated may be answered again.
    expect(answers).toBeLessThanOrEqual(syn);
    expect([answers >= 50, resets]).toEqual([true, 0]);
    expect(await lab.client.exec(`bridge -n ${lab.namespace('segment')} fdb show`)).not.toContain('02:bf:');
  });

  test('the host that explain names answers, and a rule for a single host has one', async () => {
    const client = CLIENTS[7]!;
    const explained = await cluster.command(rs(1), 'explain', '--from', client, '--rule', 'tcp/80');
    const [, number] =
      /^rs(\d) accepts the client: rule tcp 80, place \d+ by its address$/.exec(explained) ?? [];
    expect(await cluster.ask('--to', VIP, '--from', client)).toEqual({ [`real server #${number}`]: 1 });
    expect(await cluster.ask('--to', VIP, '--port', '23', ...from(CLIENTS))).toEqual({
      'real server #2': 40,
    });
  });

  test('a drained, a killed and a restarted host lose no connection of the others, and a drained one none', async () => {
    const { lab } = cluster;
    const held = lab.client.spawn([
      ...built('test/support/cluster-clients'),
      '--hold',
      '--to',
      VIP,
      ...from(CLIENTS),
    ]);
    const holding = async () => {
      const at = held.lines.length;
      held.write('\n');
      await held.line(/^\{/, undefined, at);
      return JSON.parse(held.lines.at(-1)!) as Record<string, number>;
    };
    let all = await holding();
    while (sum(all) !== 40 || !answered(all)) all = await holding();

    await cluster.command(rs(2), 'drain', '--rule', 'tcp/80');
    while (Object.hasOwn((await cluster.status(rs(1))).rules[0]!.shares, 'rs2'));
    const drained = await cluster.ask('--to', VIP, ...from(CLIENTS));
    expect(Object.keys(drained).sort()).toEqual(['real server #1', 'real server #3']);
    expect(await holding()).toEqual(all);
    await cluster.command(rs(2), 'resume');

    await cluster.agents[2]!.stop('SIGKILL');
    await cluster.converged(['rs1', 'rs2']);
    const without = await cluster.ask('--to', VIP, ...from(CLIENTS));
    expect(Object.keys(without).sort()).toEqual(['real server #1', 'real server #2']);
    const left = await holding();
    const doctor = await rs(1).run([...realserver, 'doctor', '--config', cluster.config]);
    expect([doctor.status, doctor.stdout.split('\n')[0]]).toEqual([
      1,
      'heartbeat-missing: no heartbeat of rs3 (192.168.0.5) arrives',
    ]);
    expect([left['real server #1'], left['real server #2']]).toEqual([
      all['real server #1'],
      all['real server #2'],
    ]);

    cluster.agents[2] = await cluster.start(rs(3));
    const joining = await cluster.ask('--to', VIP, ...from(CLIENTS));
    expect([sum(joining), answered(joining)]).toEqual([40, true]);
    await cluster.converged(['rs1', 'rs2', 'rs3']);
    // Its sockets outlived the agent.
    let back = await holding();
    while (back['silent'] !== undefined) back = await holding();
    expect(back).toEqual(all);
    await held.stop();
  });

  test('a host that stops hands its clients over and is restored', async () => {
    await cluster.command(rs(3), 'stop');
    const during = await cluster.ask('--to', VIP, ...from(CLIENTS));
    expect([sum(during), answered(during)]).toEqual([40, true]);
    await cluster.agents[2]!.ended;
    expect(await rs(3).exec('ip address show dev lo')).not.toContain(VIP);
    await cluster.converged(['rs1', 'rs2']);
  });

  test.each(['multicast', 'igmp'] as const)('by a MAC address of %s mode', async (mac) => {
    const { lab } = cluster;
    await Promise.all(cluster.agents.map((agent) => agent.stop()));
    writeFileSync(cluster.config, file(mac, 3));
    if (mac === 'igmp') {
      const segment = lab.namespace('segment');
      const ports = lab.servers.map(({ name }) => `link set ${name} type bridge_slave mcast_router 2`);
      await lab.client.exec(['ip', '-n', segment, '-batch', '-'], {
        // A bridge forwards to all ports for the time of its first query: 0.1 s instead of 10.
        input: `link set br0 type bridge mcast_query_response_interval 10
link set br0 type bridge mcast_snooping 1 mcast_querier 1
${ports.join('\n')}
`,
      });
    }
    await lab.director.exec(['nft', '-f', '-'], {
      input: `table netdev seen { chain in { type filter hook ingress device eth0 priority 0; ip daddr ${VIP} tcp dport 80 counter; }; }`,
    });
    cluster.agents.splice(0, 3, ...(await Promise.all(lab.servers.map((host) => cluster.start(host)))));
    await cluster.converged(['rs1', 'rs2', 'rs3']);
    await lab.client.exec('ip neigh flush dev eth0');
    const answers = await cluster.ask('--to', VIP, ...from(CLIENTS));
    expect([sum(answers), answered(answers)]).toEqual([40, true]);
    const [, seen] = /packets (\d+)/.exec(await lab.director.exec('nft list table netdev seen'))!;
    await lab.director.exec('nft delete table netdev seen');
    // A switch without snooping sends the frames to every port, the stranger's included.
    if (mac === 'igmp') expect(Number(seen)).toBe(0);
    else expect(Number(seen)).toBeGreaterThan(0);
  });
});

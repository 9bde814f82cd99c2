/** Servers that share an address without a director: lvs-realserver run with mode nlb. */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { realserver } from '../support/lvs-programs.ts';
import { probeNamespaces } from '../support/namespaces.ts';
import { answered, CLIENTS, CLIENTS6, from, NlbCluster, sum, VIP, VIP6 } from '../support/nlb-cluster.ts';
import type { Program } from '../support/program.ts';
import { built, notBuilt } from '../support/project.ts';

const missing = probeNamespaces();
const why = missing
  ? `${missing.what}: ${missing.why}`
  : notBuilt(
      'src/cli/realserver',
      'test/support/server',
      'test/support/cluster-clients',
      'test/support/nlb-intruder',
    );

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

const RULES = [
  'rules:',
  '  - { tcp: 80, check: { type: tcp, interval: 1, fall: 1, rise: 1 } }',
  '  - { tcp: 23, hosts: single, priorities: [rs2], stickiness: 10 }',
  '  - { udp: 7 }',
];

/** Counts the first packets of clients, and what servers answer. */
const COUNT = `table inet counted {
  counter syn {}
  counter answers {}
  counter resets {}
  counter datagrams {}
  counter echoes {}
  chain out {
    type filter hook output priority 0;
    tcp flags & (syn | ack) == syn counter name syn;
    udp dport 7 counter name datagrams;
  }
  chain in {
    type filter hook input priority 0;
    tcp flags & (syn | ack) == (syn | ack) counter name answers;
    tcp flags & rst == rst counter name resets;
    udp sport 7 counter name echoes;
  }
}`;

/** Returns the counters since the last call. */
async function counted({ lab }: NlbCluster): Promise<Record<string, number>> {
  const text = await lab.client.exec('nft reset counters');
  const found = [...text.matchAll(/counter (\w+) \{\s*packets (\d+)/g)];
  return Object.fromEntries(found.map(([, name, count]) => [name, Number(count)]));
}

const COUNT_AT_STRANGER = `table netdev seen { chain in {
  type filter hook ingress device eth0 priority 0;
  ip daddr ${VIP} tcp dport 80 counter
}; }`;

/** All 400 clients get one answer each from one of the servers, and no reset. */
async function expectOneAnswerEach(cluster: NlbCluster, servers: number): Promise<void> {
  await counted(cluster);
  const answers = [
    await cluster.ask('--to', VIP, ...from(CLIENTS)),
    await cluster.ask('--to', VIP6, ...from(CLIENTS6)),
  ];
  expect(answers.map((each) => [sum(each), answered(each), Object.keys(each).length])).toEqual(
    [CLIENTS, CLIENTS6].map(({ length }) => [length, true, servers]),
  );
  // A second server's answer would be one more than first packets; those that are repeated may be answered again.
  const { syn, answers: accepted, resets } = await counted(cluster);
  expect(accepted).toBeLessThanOrEqual(syn!);
  expect([accepted! >= CLIENTS.length + CLIENTS6.length, resets]).toEqual([true, 0]);
}

describe.skipIf(why !== undefined)('3 and 8 servers share an address', () => {
  let cluster: NlbCluster;
  beforeAll(async () => {
    cluster = await NlbCluster.create(8);
    await cluster.lab.client.exec(['nft', '-f', '-'], { input: COUNT });
    await cluster.lab.director.exec(['nft', '-f', '-'], { input: COUNT_AT_STRANGER });
  });
  afterAll(() => cluster?.[Symbol.asyncDispose]());

  test.each(['unicast', 'multicast', 'igmp'])(
    'by a MAC address of %s mode, and each of 400 clients gets one answer',
    async (mac) => {
      const { lab } = cluster;
      const segment = lab.namespace('segment');
      if (mac === 'igmp') {
        const ports = lab.servers.map(({ name }) => `link set ${name} type bridge_slave mcast_router 2`);
        await lab.client.exec(['ip', '-n', segment, '-batch', '-'], {
          // A bridge forwards to all ports for the time of its first query: 0.1 s instead of 10.
          input: `link set br0 type bridge mcast_query_response_interval 10
link set br0 type bridge mcast_snooping 1 mcast_querier 1
${ports.join('\n')}
`,
        });
      }
      const seenByStranger = async () => {
        const [, seen] = /packets (\d+)/.exec(await lab.director.exec('nft list table netdev seen'))!;
        return Number(seen);
      };
      for (const servers of [3, 8]) {
        await cluster.killAll();
        cluster.configure({ mac, servers, lines: RULES });
        await cluster.startAll(servers);
        await lab.client.exec('ip neigh flush dev eth0');
        const before = await seenByStranger();
        await expectOneAnswerEach(cluster, servers);
        // A switch without snooping sends the frames to every port, the stranger's included.
        expect((await seenByStranger()) > before).toBe(mac !== 'igmp');
      }
      expect(await lab.client.exec(`bridge -n ${segment} fdb show`)).not.toMatch(/02:bf:/);
    },
  );
});

describe.skipIf(why !== undefined)('three servers', () => {
  let cluster: NlbCluster;
  beforeAll(async () => {
    cluster = await NlbCluster.create(3);
    await cluster.lab.client.exec(['nft', '-f', '-'], { input: COUNT });
    configure(RULES);
    await cluster.startAll();
  });
  afterAll(() => cluster?.[Symbol.asyncDispose]());
  const configure = (lines: readonly string[]) =>
    cluster.configure({ mac: 'unicast', servers: 3, heartbeat: 0.1, lines });
  const rs = (number: number) => cluster.lab.servers[number - 1]!;
  const some = CLIENTS.slice(0, 40);
  /** Resolves when exactly these hosts share the clients of tcp 80, and others have stopped to accept them. */
  const shared = (...names: readonly string[]) =>
    cluster.until(
      rs(1),
      ({ rules, isConverged }) => isConverged && Object.keys(rules[0]!.shares).join() === names.join(),
    );

  test('answer UDP, ICMP and fragments once', async () => {
    await counted(cluster);
    for (const to of [VIP, VIP6])
      for (const octets of ['64', '3000'])
        expect(
          await cluster.lab.client.exec([
            ...built('test/support/udp-client'),
            '--to',
            to,
            '--octets',
            octets,
          ]),
        ).toBe('1 of 1');
    const { datagrams, echoes } = await counted(cluster);
    expect(echoes).toBe(datagrams);
    for (const to of [VIP, VIP6])
      for (const size of ['56', '3000']) {
        const pinged = await cluster.lab.client.exec(['ping', '-c', '2', '-i', '0.2', '-s', size, to]);
        expect(pinged).toContain('2 packets transmitted, 2 received, 0% packet loss');
      }
  });

  test('explain which of them answers a client, and one serves a rule for a single host', async () => {
    const client = CLIENTS[7]!;
    const explained = await cluster.command(rs(1), 'explain', '--from', client, '--rule', 'tcp/80');
    const [, number] =
      /^rs(\d) accepts the client: rule tcp 80, place \d+ by its address$/.exec(explained) ?? [];
    expect(await cluster.ask('--to', VIP, '--from', client)).toEqual({ [`real server #${number}`]: 1 });
    expect(await cluster.ask('--to', VIP, '--port', '23', ...from(some))).toEqual({ 'real server #2': 40 });
  });

  test('hand clients over to others that are suspended, and keep those that were seen lately', async () => {
    const [known, stranger] = [CLIENTS[0]!, CLIENTS[1]!];
    await cluster.command(rs(2), 'suspend');
    expect(await cluster.ask('--to', VIP, ...from(some))).not.toHaveProperty('real server #2');
    expect(await cluster.ask('--to', VIP, '--port', '23', '--from', known)).toEqual({ 'real server #1': 1 });
    await cluster.command(rs(2), 'resume');
    await cluster.until(
      rs(1),
      ({ rules, isConverged }) => isConverged && Object.hasOwn(rules[1]!.shares, 'rs2'),
    );
    expect(await cluster.ask('--to', VIP, '--port', '23', '--from', stranger)).toEqual({
      'real server #2': 1,
    });
    expect(await cluster.ask('--to', VIP, '--port', '23', '--from', known)).toEqual({ 'real server #1': 1 });
  });

  test('take a host out whose service is down', async () => {
    await cluster.servers[1]!.stop();
    await shared('rs1', 'rs3');
    const without = await cluster.ask('--to', VIP, ...from(some));
    expect(Object.keys(without).sort()).toEqual(['real server #1', 'real server #3']);
    cluster.servers[1] = await cluster.serve(2);
    await shared('rs1', 'rs2', 'rs3');
    expect(await cluster.ask('--to', VIP, ...from(some))).toHaveProperty('real server #2');
  });

  test('give up a client that has been silent for the time of the stickiness', async () => {
    const known = CLIENTS[0]!;
    while ((await cluster.hostOf(rs(1), known, 'tcp/23')) !== 'rs2') await pause(50);
    expect(await cluster.ask('--to', VIP, '--port', '23', '--from', known)).toEqual({ 'real server #2': 1 });
  });

  test('do not reset connections that two of them have answered', async () => {
    const { client } = cluster.lab;
    const mac = (await rs(2).exec('cat /sys/class/net/eth0/address')).trim();
    const hosts = await Promise.all(CLIENTS.map((address) => cluster.hostOf(rs(1), address, 'tcp/80')));
    const ofSecond = CLIENTS.filter((_, i) => hosts[i] === 'rs2').slice(0, 20);
    // The answers of rs2 are lost, and the clients repeat their first segments when others own their places.
    await client.exec(['nft', '-f', '-'], {
      input: `table netdev lost {
  counter answers {}
  chain in {
    type filter hook ingress device eth0 priority 0;
    ether saddr ${mac} tcp flags & (syn | ack) == (syn | ack) counter name answers drop
  }
}`,
    });
    await counted(cluster);
    await using held = client.spawn([
      ...built('test/support/cluster-clients'),
      ...['--hold', '--to', VIP, ...from(ofSecond)],
    ]);
    const lost = async () => {
      const text = await client.exec('nft list counter netdev lost answers');
      return Number(/packets (\d+)/.exec(text)![1]);
    };
    while ((await lost()) < ofSecond.length) await pause(20);
    await cluster.command(rs(2), 'drain');
    await shared('rs1', 'rs3');
    await client.exec('nft delete table netdev lost');
    const answers = async () => {
      const at = held.lines.length;
      held.write('\n');
      await held.line(/^\{/, undefined, at);
      return JSON.parse(held.lines.at(-1)!) as Record<string, number>;
    };
    let now = await answers();
    while (now[''] !== undefined || now['silent'] !== undefined) {
      await pause(100);
      now = await answers();
    }
    expect([answered(now), sum(now)]).toEqual([true, ofSecond.length]);
    // Each server repeats what is not acknowledged, so the other one would have sent a reset.
    await pause(2000);
    expect([await answers(), (await counted(cluster))['resets']]).toEqual([now, 0]);
    await cluster.command(rs(2), 'resume');
    await shared('rs1', 'rs2', 'rs3');
  });

  describe('with connections that stay, and a new one every 20 ms', () => {
    let held: Program;
    let stream: Program;
    let all: Record<string, number>;
    const line = async (program: Program) => {
      const at = program.lines.length;
      program.write('\n');
      await program.line(/^\{/, undefined, at);
      return JSON.parse(program.lines.at(-1)!);
    };
    const holding = () => line(held) as Promise<Record<string, number>>;
    /** Resolves when the connections of these servers are as at the start, and are answered; others may be silent. */
    const intact = async (...names: readonly string[]) => {
      for (;;) {
        const now = await holding();
        const lost = Object.entries(now).filter(([name]) => name !== 'silent' && all[name] === undefined);
        expect(lost).toEqual([]);
        if (
          Object.keys(all).every(
            (name) => now[name] === all[name] || (names.length > 0 && !names.includes(name)),
          )
        )
          return;
        await pause(100);
      }
    };
    const failures = async () => (await line(stream)).failures as unknown[];
    beforeAll(async () => {
      const { client } = cluster.lab;
      held = client.spawn([...built('test/support/cluster-clients'), '--hold', '--to', VIP, ...from(some)]);
      all = await holding();
      while (sum(all) !== 40 || !answered(all)) all = await holding();
      const strangers = from(CLIENTS.slice(40, 140));
      stream = client.spawn([...built('test/support/cluster-stream'), '--to', VIP, ...strangers]);
    });

    test('no connection fails when a host drains, leaves and joins', async () => {
      await cluster.command(rs(2), 'drain', '--rule', 'tcp/80');
      await shared('rs1', 'rs3');
      expect(await cluster.ask('--to', VIP, ...from(some))).not.toHaveProperty('real server #2');
      await intact();
      const done = await cluster.command(rs(2), 'suspend', '--rule', 'tcp/80');
      expect(done).toBe('this host ignores packets of tcp 80 (resume ends this)');
      await cluster.until(rs(2), ({ packets }) => packets['suspended']! > 0);
      expect(await cluster.command(rs(2), 'status')).toMatch(/tcp 80: rs1 .* \(suspended here\)/);
      await intact('real server #1', 'real server #3');
      await cluster.command(rs(2), 'resume', '--rule', 'tcp/80');
      await shared('rs1', 'rs2', 'rs3');
      await intact();
      await cluster.command(rs(3), 'stop');
      await cluster.agents[2]!.ended;
      expect(await rs(3).exec('ip address show dev lo')).not.toContain(VIP);
      await cluster.converged('rs1', 'rs2');
      await cluster.start(3);
      await cluster.converged('rs1', 'rs2', 'rs3');
      expect(await failures()).toEqual([]);
      // The sockets of a host outlive its agent.
      await intact();
    });

    test('connections of the others continue when an agent is killed', async () => {
      await cluster.agents[2]!.stop('SIGKILL');
      await cluster.converged('rs1', 'rs2');
      const without = await cluster.ask('--to', VIP, ...from(some));
      expect(Object.keys(without).sort()).toEqual(['real server #1', 'real server #2']);
      const doctor = await rs(1).run([...realserver, 'doctor', '--config', cluster.config]);
      expect([doctor.status, doctor.stdout.split('\n')[0]]).toEqual([
        1,
        'heartbeat-missing: no heartbeat of rs3 (192.168.0.5) arrives',
      ]);
      await intact('real server #1', 'real server #2');
      await cluster.start(3);
      await cluster.converged('rs1', 'rs2', 'rs3');
      await intact();
    });

    test('a host that is cut off serves again when the segment has healed', async () => {
      const bridge = (change: string) =>
        cluster.lab.client.exec(`ip -n ${cluster.lab.namespace('segment')} link set rs3 ${change}`);
      await bridge('nomaster');
      await Promise.all([cluster.converged('rs1', 'rs2'), cluster.converged('rs3')]);
      await intact('real server #1', 'real server #2');
      await bridge('master br0');
      await cluster.converged('rs1', 'rs2', 'rs3');
      await intact();
    });

    test('no connection is lost when agents get no processor time', async () => {
      await failures();
      await counted(cluster);
      const signal = (name: NodeJS.Signals, ...numbers: readonly number[]) => {
        for (const number of numbers) process.kill(cluster.agents[number - 1]!.pid, name);
      };
      signal('SIGSTOP', 3);
      // The others take its places; its connections go on without its agent.
      await cluster.converged('rs1', 'rs2');
      await intact();
      signal('SIGCONT', 3);
      await cluster.converged('rs1', 'rs2', 'rs3');
      // All of them for longer than a host may be silent.
      signal('SIGSTOP', 1, 2, 3);
      await pause(2500);
      await intact();
      signal('SIGCONT', 1, 2, 3);
      await cluster.converged('rs1', 'rs2', 'rs3');
      await intact();
      expect(await failures()).toEqual([]);
      expect((await counted(cluster))['resets']).toBe(0);
    });

    test('heartbeats of strangers are refused and counted, and change nothing', async () => {
      const before = await cluster.status(rs(1));
      const logged = cluster.agents[0]!.lines.length;
      const intruder = cluster.lab.client.spawn([
        ...built('test/support/nlb-intruder'),
        ...['--group', '239.255.0.101', '--via', cluster.lab.client.address, '--to', rs(1).address],
        ...from(CLIENTS.slice(0, 100)),
      ]);
      await intruder.line(/^recorded$/);
      intruder.write('\n');
      await intruder.line(/^sent$/);
      await cluster.until(rs(1), ({ heartbeats }) =>
        ['foreign', 'unauthenticated', 'malformed', 'repeated'].every(
          (kind) => heartbeats[kind]! > before.heartbeats[kind]!,
        ),
      );
      await cluster.converged('rs1', 'rs2', 'rs3');
      await intact();
      expect(await failures()).toEqual([]);
      const lines = cluster.agents[0]!.lines.slice(logged).filter((line) => /heartbeat from/.test(line));
      expect(lines.length).toBeLessThanOrEqual(20);
      await intruder.stop();
    });

    test('another file is taken host by host', async () => {
      const restart = async (number: number) => {
        await cluster.agents[number - 1]!.stop();
        await cluster.start(number);
      };
      configure(RULES.with(1, RULES[1]!.replace('check:', 'weights: { rs1: 10 }, check:')));
      await restart(1);
      await cluster.converged('rs1', 'rs2', 'rs3');
      await cluster.until(rs(2), ({ rules }) => rules[0]!.shares['rs1']! < 15);
      expect(await failures()).toEqual([]);

      // Hosts with other rules do not serve beside this one, until it has the same file.
      configure(RULES.slice(0, 3));
      await Promise.all(
        [2, 3].map(async (number) => {
          await restart(number);
          await cluster.until(rs(number), ({ state }) => state === 'mismatch');
        }),
      );
      expect(await cluster.ask('--to', VIP, ...from(some))).toEqual({ 'real server #1': 40 });
      await restart(1);
      await cluster.converged('rs1', 'rs2', 'rs3');
      await intact();
    });
  });
});

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { Lab } from '../support/lab.ts';
import type { LabHost } from '../support/lab-host.ts';
import { realserver, startAgent, startServers } from '../support/lvs-programs.ts';

const why = clusterMissing();

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

interface Finding {
  readonly name: string;
  readonly what: string;
  readonly remedy: string;
}

/** What the doctor finds, by name. */
async function findings(host: LabHost, options: readonly string[]): Promise<Finding[]> {
  const { status, stdout, stderr } = await host.run([...realserver, 'doctor', '--json', ...options]);
  expect(stderr).toBe('');
  const found = JSON.parse(stdout) as Finding[];
  expect(status).toBe(found.length === 0 ? 0 : 1);
  return found;
}

interface Shape {
  readonly shape: 'dr' | 'tunnel' | 'nat';
  readonly agent: readonly string[];
  readonly doctor: readonly string[];
  /** A fault's name, how it is planted, and what is in its words. */
  readonly faults: readonly (readonly [name: string, plant: string, words: RegExp])[];
}

const VIPS = ['--vip', '192.168.0.101,fd00::101'];
const SHAPES: readonly Shape[] = [
  {
    shape: 'dr',
    agent: VIPS,
    doctor: [...VIPS, '--port', '80,7/udp'],
    faults: [
      ['vip-missing', 'ip address del 192.168.0.101/32 dev lo', /no device has 192\.168\.0\.101/],
      [
        'vip-wide-mask',
        'ip address del 192.168.0.101/32 dev lo; ip address add 192.168.0.101/24 dev lo',
        /lo has 192\.168\.0\.101\/24/,
      ],
      ['vip-answered', 'sysctl -qw net.ipv4.conf.all.arp_ignore=0', /ARP for 192\.168\.0\.101 is answered/],
      [
        'vip-answered',
        'ip address del fd00::101/128 dev lo; ip address add fd00::101/128 dev eth0 nodad',
        /fd00::101 is on eth0/,
      ],
      [
        'input-dropped',
        "nft 'add table inet fw; add chain inet fw in { type filter hook input priority 0; policy drop; }; add rule inet fw in udp dport 7 accept'",
        /the chain inet fw in drops incoming packets, and has no rule that accepts tcp dport 80/,
      ],
      [
        'input-dropped',
        "nft 'add table inet fw; add chain inet fw in { type filter hook input priority 0; }; add rule inet fw in udp dport 7 accept; add rule inet fw in counter drop'",
        /the chain inet fw in drops incoming packets, and has no rule that accepts tcp dport 80/,
      ],
      [
        'input-dropped',
        "nft 'add table inet fw; add chain inet fw in { type filter hook input priority 0; }; add rule inet fw in tcp dport 80 reject with tcp reset'",
        /the chain inet fw in drops incoming packets, and has no rule that accepts tcp dport 80$/m,
      ],
      ['vip-announced', 'sysctl -qw net.ipv4.conf.all.arp_announce=0', /arp_announce is 0 on eth0/],
      [
        'vip-device-down',
        'ip link add vip0 type veth peer name vip1; ip link set vip0 arp off; ip address del fd00::101/128 dev lo; ip address add fd00::101/128 dev vip0 nodad',
        /vip0 has fd00::101, and is down/,
      ],
      [
        'rp-filter',
        'ip link add out0 type veth peer name out1; ip link set out0 up; ip address add 10.77.0.1/24 dev out0; ip route add default via 10.77.0.2 dev out0; sysctl -qw net.ipv4.conf.eth0.rp_filter=1',
        /rp_filter is 1 on eth0, but replies leave through out0/,
      ],
    ],
  },
  {
    shape: 'tunnel',
    agent: [...VIPS, '--method', 'tunnel'],
    doctor: [...VIPS, '--method', 'tunnel', '--port', '80'],
    faults: [
      [
        'tunnel-mtu',
        'nft delete table inet lvs_realserver; ip route change default via 192.168.2.254 advmss 1460; ip -6 route change default via fd00:0:0:2::254 advmss 1400',
        /segments of 1460 bytes for 192\.168\.0\.101 do not fit .*: at most 1440 do/,
      ],
    ],
  },
  {
    shape: 'nat',
    agent: ['--method', 'nat', '--gateway', '192.168.1.1'],
    doctor: ['--method', 'nat', '--gateway', '192.168.1.1'],
    faults: [
      ['route-back', 'ip route del default', /the route to clients is missing, not through the director/],
      [
        'route-back',
        'ip route replace default via 192.168.1.200',
        /the route to clients leads through 192\.168\.1\.200, not/,
      ],
    ],
  },
];

describe.skipIf(why !== undefined).each(SHAPES)('the doctor, $shape', ({ shape, agent, doctor, faults }) => {
  let lab: Lab;
  let rs: LabHost;

  /** A healthy host. */
  const begin = async () => {
    lab = await Lab.create({ shape, ipv6: true, servers: 1 });
    rs = lab.host('rs1');
    await startAgent(rs, ...agent);
    await startServers(rs, 1, ['192.168.0.101', 'fd00::101'].slice(0, shape === 'nat' ? 0 : 2));
  };
  beforeAll(begin);
  afterAll(() => lab?.[Symbol.asyncDispose]());

  test('finds nothing on a healthy host, and leaves nothing behind', async () => {
    // Namespaces of doctors that have ended: another one may run at the same time.
    const left =
      'for name in $(ls /run/netns | grep ^lvsd); do [ -d /proc/$(echo $name | tr -d lvsd | cut -d. -f1) ] || echo $name; done';
    const state = `ip -o address; ip route; ip link show | wc -l; ${left}; sysctl -a 2>/dev/null | grep -c conf`;
    const before = await rs.exec(state);
    expect(await findings(rs, doctor)).toEqual([]);
    expect(await rs.exec(state)).toBe(before);
    const { stdout } = await rs.run([...realserver, 'doctor', ...doctor]);
    expect(stdout).toBe('no problems found\n');
  });

  test.each(faults)('reports %s: %s', async (name, plant, words) => {
    try {
      await rs.exec(plant);
      const found = await findings(rs, doctor);
      expect(found.map((each) => each.name)).toEqual([name]);
      expect(found[0]!.what).toMatch(words);
      // The printed remedy fixes the problem; "..." in a route is a placeholder.
      if (found[0]!.remedy.includes('...')) return;
      await rs.exec(found[0]!.remedy);
      expect(await findings(rs, doctor)).toEqual([]);
    } finally {
      await lab[Symbol.asyncDispose]();
      await begin();
    }
  });

  const withoutAgent = async () => {
    const agents = await rs.exec('ss -xlp | grep -o "@lvs-realserver.*pid=[0-9]*" | grep -o "[0-9]*$"');
    await rs.exec(`kill -9 ${agents.trim()}`);
    const found = await findings(rs, doctor);
    expect(found.map(({ name }) => name)).toEqual(['no-decapsulation']);
    expect(found[0]!.what).toBe('no device and no program decapsulates ipip packets');
  };
  if (shape === 'tunnel') test('reports no-decapsulation when the agent is gone', withoutAgent);

  const withOddServers = async () => {
    expect(
      (await findings(rs, [...VIPS, '--port', '81'])).map(({ name, what }) => `${name} ${what}`),
    ).toEqual([
      'no-listener no program listens on tcp 192.168.0.101:81',
      'no-listener no program listens on tcp [fd00::101]:81',
    ]);
    await using _wild = rs.spawn([
      process.execPath,
      '-e',
      "require('node:dgram').createSocket('udp4').bind(9, '0.0.0.0', () => console.log('ready'))",
    ]);
    await _wild.line(/^ready$/);
    const found = await findings(rs, ['--vip', '192.168.0.101', '--port', '9/udp']);
    expect(found.map(({ name }) => name)).toEqual(['udp-wildcard']);
    expect(found[0]!.remedy).toBe('bind it to 192.168.0.101');
  };
  if (shape === 'dr')
    test('reports servers that do not listen, and those that accept too many addresses', withOddServers);
});

/** A file for the laboratory, as its director would have it. */
const CONFIG = (method: string, inside: string, servers: readonly string[]) => `method: ${method}
vips: [{ interface: eth0, address: 192.168.0.101, prefix: 24 }]
director: { inside: ${inside} }
services:
  - { tcp: '192.168.0.101:80', scheduler: rr, destinations: [${servers.join(', ')}] }
`;

describe.skipIf(why !== undefined).each([
  ['dr', '{ interface: eth0, address: 192.168.0.1, prefix: 24 }', 0, ['--vip', '192.168.0.101']],
  [
    'tunnel',
    '{ interface: eth0, address: 192.168.0.1, prefix: 24 }',
    2,
    ['--vip', '192.168.0.101', '--method', 'tunnel'],
  ],
  [
    'nat',
    '{ interface: eth1, address: 192.168.1.1, prefix: 24 }',
    1,
    ['--method', 'nat', '--gateway', '192.168.1.1'],
  ],
] as const)('the doctor on the director, %s,', (shape, inside, segment, agent) => {
  let lab: Lab;
  let config: string;
  beforeAll(async () => {
    lab = await Lab.create({ shape });
    config = join(lab.folder, 'lvs.yaml');
    writeFileSync(
      config,
      CONFIG(
        shape,
        inside,
        [3, 4].map((number) => `192.168.${segment}.${number}`),
      ),
    );
    for (const [i, host] of lab.servers.entries()) {
      await startAgent(host, ...agent);
      await startServers(host, i + 1);
    }
    // The VIP is the director's, as while it runs.
    await lab.director.exec('ip address add 192.168.0.101/32 dev eth0');
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());
  const look = async () => {
    const words = ['doctor', '--from-director', '--json', '--config', config];
    const { stdout, stderr } = await lab.director.run([...realserver, ...words]);
    expect(stderr).toBe('');
    return JSON.parse(stdout) as { servers: { address: string; mac?: string }[]; findings: Finding[] };
  };

  test('finds the real servers, which answer through the forwarding path', async () => {
    const { servers, findings: found } = await look();
    expect(found).toEqual([]);
    expect(servers.map(({ address, mac }) => `${address} ${mac}`)).toEqual(
      [3, 4].map((number) =>
        shape === 'tunnel'
          ? `192.168.2.${number} undefined`
          : `192.168.${segment}.${number} 02:00:00:00:0${segment}:0${number}`,
      ),
    );
  });

  if (shape === 'dr')
    test('reports a chain that blocks clients, unless the file has deny lists', async () => {
      const nft = (rule: string) => lab.director.exec(['nft', rule]);
      await nft('add table inet operators');
      await nft('add chain inet operators input { type filter hook input priority 0; }');
      await nft('add rule inet operators input ip saddr 198.51.100.0/24 counter drop');
      const { findings: found } = await look();
      expect(found).toMatchObject([
        { name: 'firewall-bypassed', what: expect.stringContaining('the chain inet operators input') },
      ]);
      const text = readFileSync(config, 'utf8');
      writeFileSync(config, `deny: [198.51.100.0/24]\n${text}`);
      expect((await look()).findings).toEqual([]);
      writeFileSync(config, text);
      await nft('flush chain inet operators input');
      await nft('add rule inet operators input ip daddr 198.51.100.7 drop');
      expect((await look()).findings).toEqual([]);
      await nft('delete table inet operators');
    });

  test('finds servers that answer for the VIP, do not listen or are gone', async () => {
    const [first, second] = lab.servers;
    await first!.stopPrograms();
    if (shape === 'dr')
      await first!.exec('sysctl -qw net.ipv4.conf.all.arp_ignore=0; ip address add 192.168.0.101/32 dev lo');
    await second!.exec('ip link set eth0 down');
    const { findings: found } = await look();
    const names = found.map(({ name }) => name).sort();
    expect(names).toEqual(
      {
        dr: ['no-listener', 'path-silent', 'server-unreachable', 'vip-answered'],
        tunnel: ['path-silent', 'path-silent'],
        nat: ['no-listener', 'path-silent', 'server-unreachable'],
      }[shape],
    );
    // A remedy changes something: none of them is to look again.
    for (const { remedy } of found) expect(remedy).not.toContain('doctor');
    if (shape === 'dr')
      expect(found.find(({ name }) => name === 'vip-answered')!.what).toBe(
        '192.168.0.3 (02:00:00:00:00:03) answers ARP for 192.168.0.101 on eth0',
      );
  });
});

import { describe, expect, test } from 'vitest';
import { servedOf } from '../../../src/cli/realserver/doctor.ts';
import { parseYaml } from '../../../src/config/yaml/parse-yaml.ts';
import type { Asker } from '../../../src/realserver/doctor/director-client.ts';
import { formatFindings } from '../../../src/realserver/doctor/doctor.ts';
import { formatServers, seeServers } from '../../../src/realserver/doctor/from-director.ts';
import { listenersOf, rawProtocolsOf } from '../../../src/realserver/doctor/host-facts.ts';
import { listenerFindings } from '../../../src/realserver/doctor/listener-findings.ts';
import { decapsulationFindings } from '../../../src/realserver/doctor/path-findings.ts';
import { vipFindings } from '../../../src/realserver/doctor/vip-findings.ts';
import type { Machine } from '../../../src/realserver/machine.ts';
import type { Role } from '../../../src/realserver/plan.ts';
import { labNames } from '../../support/documents.ts';

/** As ss of iproute2 6.1 prints it. */
const SS = `tcp   LISTEN 0      511                *:80               *:*
udp   UNCONN 0      0      192.168.0.101:7           0.0.0.0:*
udp   UNCONN 0      0            0.0.0.0:53          0.0.0.0:*
tcp   LISTEN 0      128        127.0.0.1:5432        0.0.0.0:*
tcp   LISTEN 0      128          [fd00::101]:443           [::]:*
udp   UNCONN 0      0      [fe80::1]%eth0:546           [::]:*
tcp   LISTEN 0      128             [::]:22            [::]:*
`;

test('listeners are parsed from the output of ss', () => {
  expect(listenersOf(SS).map(({ protocol, address, port }) => `${protocol} ${address} ${port}`)).toEqual([
    'tcp * 80',
    'udp 192.168.0.101 7',
    'udp 0.0.0.0 53',
    'tcp 127.0.0.1 5432',
    'tcp fd00::101 443',
    'udp fe80::1 546',
    'tcp :: 22',
  ]);
});

test('raw sockets are parsed from the list of the kernel', () => {
  const text = `  sl  local_address rem_address   st tx_queue rx_queue
  260: 00000000:0004 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0 0
  303: 00000000000000000000000000000000:002F 0000 07 00000000:00000000 00:00000000 00000000 0 0 1 2 0 0
`;
  expect([...rawProtocolsOf(text)]).toEqual([4, 47]);
});

describe('the doctor checks servers:', () => {
  const found = (protocol: 'tcp' | 'udp', address: string, port: number, direct = true) =>
    listenerFindings([{ protocol, address, port, isDirect: direct }], { listeners: listenersOf(SS) }).map(
      ({ name }) => name,
    );

  test.each<[string, 'tcp' | 'udp', string, number, string[]]>([
    ['of every address hear the VIP', 'tcp', '192.168.0.101', 80, []],
    ['of the VIP hear it', 'udp', '192.168.0.101', 7, []],
    ['of every IPv6 address alone do not hear IPv4', 'tcp', '192.168.0.101', 22, ['no-listener']],
    ['of every IPv6 address hear an IPv6 VIP', 'tcp', 'fd00::101', 22, []],
    ['of another address do not', 'tcp', '192.168.0.101', 5432, ['no-listener']],
    ['of the other protocol do not', 'tcp', '192.168.0.101', 7, ['no-listener']],
    ['of an IPv6 VIP hear it', 'tcp', 'fd00::101', 443, []],
    ['of all IPv4 addresses do not hear IPv6', 'udp', 'fd00::101', 53, ['no-listener']],
    ['over UDP have to be bound', 'udp', '192.168.0.101', 53, ['udp-wildcard']],
  ])('%s', (_what, protocol, address, port, names) => expect(found(protocol, address, port)).toEqual(names));

  test('UDP servers need not be bound to the address when the director translates', () =>
    expect(found('udp', '192.168.0.3', 53, false)).toEqual([]));
});

test('each type of tunnel needs decapsulation', () => {
  const role: Role = {
    method: 'tunnel',
    vips: ['192.168.0.101'],
    device: 'lo',
    encapsulations: [{ type: 'ipip' }, { type: 'gre' }, { type: 'gue', port: 6080 }],
  };
  const facts = { addresses: [], devices: [], listeners: [], rawProtocols: new Set<number>() };
  expect(decapsulationFindings(role, facts).map(({ what }) => what)).toEqual([
    'no device and no program decapsulates ipip packets',
    'no device and no program decapsulates gre packets',
    'no device and no program decapsulates gue packets of port 6080',
  ]);
  const tunl0 = { name: 'tunl0', mtu: 1480, up: true, neighbors: false };
  const whole = {
    ...facts,
    devices: [tunl0],
    listeners: [{ protocol: 'udp' as const, address: '*', port: 6080 }],
    rawProtocols: new Set([47]),
  };
  expect(decapsulationFindings(role, whole)).toEqual([]);
  expect(decapsulationFindings({ ...role, vips: ['fd00::1'] }, whole)).toHaveLength(1);
});

test('the required listening addresses follow from the addresses of the host', async () => {
  const { document } = await parseYaml(
    `
method: dr
services:
  - { tcp: '192.168.0.101:80', destinations: [rs1, rs2] }
  - { udp: '192.168.0.101:53', method: nat, destinations: ['rs1:5353'] }
  - { tcp: '192.168.0.101:81', destinations: [rs2] }
  - { mark: 3, destinations: [rs1] }
`,
    'lvs.yaml',
    labNames,
    ['wlc'],
  );
  expect(servedOf(document, new Set(['127.0.0.1', '192.168.0.3']))).toEqual([
    { protocol: 'tcp', address: '192.168.0.101', port: 80, isDirect: true },
    { protocol: 'udp', address: '192.168.0.3', port: 5353, isDirect: false },
  ]);
});

test('on the director, a destination that is the director itself is not probed on the network', async () => {
  const { document } = await parseYaml(
    'services: [{ tcp: 192.168.0.101:80, destinations: [rs1] }]',
    'lvs.yaml',
    labNames,
    ['wlc'],
  );
  const asked: (readonly string[])[] = [];
  const machine: Machine = {
    run: async (words) => {
      asked.push(words);
      return { status: 0, stdout: '[{"type":"local","dst":"192.168.0.3","dev":"lo"}]', stderr: '' };
    },
    setting: async () => '0',
    set: async () => {},
  };
  const { servers, findings } = await seeServers(document, machine);
  expect(findings).toEqual([]);
  expect(asked.filter(([program]) => program === 'ip')).toHaveLength(1);
  expect(formatServers(servers)).toBe('192.168.0.3: this host');
});

test('findings are reported with the command that fixes them', () => {
  expect(formatFindings([])).toBe('no problems found');
  expect(formatFindings([{ name: 'route-back', what: 'no route', remedy: 'ip route ...' }])).toBe(
    'route-back: no route\n  fix: ip route ...',
  );
});

describe('the VIP', () => {
  const settings = (values: Readonly<Record<string, string>>): Machine => ({
    run: async () => ({ status: 0, stdout: '', stderr: '' }),
    setting: async (path) => values[path] ?? '0',
    set: async () => {},
  });
  const facts = {
    addresses: [{ device: 'lo', address: '192.168.0.101', prefix: 32 }],
    devices: [
      { name: 'lo', mtu: 65_536, up: true, neighbors: false },
      { name: 'eth0', mtu: 1500, up: true, neighbors: true },
    ],
    listeners: [],
    rawProtocols: new Set<number>(),
  };
  const role: Role = { method: 'dr', vips: ['192.168.0.101'], device: 'lo' };
  const silent = settings({ 'net/ipv4/conf/all/arp_announce': '2', 'net/ipv4/conf/eth0/arp_ignore': '1' });
  const names = async (...rest: [Machine, Asker]) =>
    (await vipFindings(role, facts, ...rest)).map(({ name }) => name);

  test('passes when no host answers for it', async () =>
    expect(await names(silent, async () => undefined)).toEqual([]));
  test('is placed on loopback when the configured device is unavailable or would answer', async () => {
    const mends = async (device: string) =>
      (
        await vipFindings({ ...role, vips: ['192.168.0.102'], device }, facts, silent, async () => undefined)
      ).map(({ remedy }) => remedy);
    expect(await mends('dummy0')).toEqual(['ip address add 192.168.0.102/32 dev lo']);
    expect(await mends('eth0:1')).toEqual(['ip address add 192.168.0.102/32 dev lo']);
  });
  test('is not added before the host is silent', async () => {
    const missing = { ...role, vips: ['192.168.0.102', 'fd00::102'] };
    const [four, six] = await vipFindings(missing, facts, settings({}), async () => undefined);
    expect(four!.remedy).toBe(
      'sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2; ip address add 192.168.0.102/32 dev lo',
    );
    expect(six!.remedy).toBe('ip address add fd00::102/128 dev lo nodad');
  });
  test('is reported when the host answers for it, whatever its settings', async () =>
    expect(await names(silent, async () => '02:00:00:00:00:03')).toEqual(['vip-answered']));
  test('is judged by the settings when the host cannot be probed', async () => {
    const mute: Asker = () => Promise.reject(new Error('no namespaces here'));
    expect(await names(silent, mute)).toEqual([]);
    expect(await names(settings({ 'net/ipv4/conf/eth0/arp_announce': '2' }), mute)).toEqual(['vip-answered']);
  });
  test('is announced when the setting of the device does not prevent it', async () =>
    expect(await names(settings({ 'net/ipv4/conf/all/arp_ignore': '1' }), async () => undefined)).toEqual([
      'vip-announced',
    ]));
});

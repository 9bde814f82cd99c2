import { describe, expect, test } from 'vitest';
import { createGuard, type Guarded, replaceGuard } from '../../src/host/guard-script.ts';
import type { MarkRule } from '../../src/model/command.ts';
import type { ServiceAddress } from '../../src/model/service.ts';

type Destination = Guarded['services'][number]['destinations'][number];
const masq = (address: string, port: number): Destination => ({ method: 'nat', address, port });
const route = (address: string, port: number): Destination => ({ method: 'dr', address, port });
const tcp = (address: string, port: number): ServiceAddress => ({ protocol: 'tcp', address, port });

/** The rules, without what every one of them begins with. */
async function rules(
  services: readonly (readonly [ServiceAddress, ...Destination[]])[],
  marks: readonly MarkRule[] = [],
): Promise<string[]> {
  const guarded = {
    services: services.map(([service, ...destinations]) => ({ service, destinations })),
    marks,
  };
  const [flush, ...commands] = (await replaceGuard('t', guarded)).split('; ');
  expect(flush).toBe('flush chain netdev t withheld');
  const prefix = 'add rule netdev t withheld ';
  for (const command of commands) expect(command.startsWith(prefix)).toBe(true);
  return commands.map((command) => command.slice(prefix.length));
}

test('the table belongs to its creator, and precedes all other hooks on each interface', async () => {
  const script = createGuard('lvs_7', ['eth0', 'eth1']);
  expect(script).toContain('add table netdev lvs_7 { flags owner; }');
  expect(script).toContain(
    'type filter hook ingress devices = { "eth0", "eth1" } priority -500; policy accept;',
  );
  expect(script).not.toContain('\n');
});

describe('the guard drops requests', () => {
  test('to a service, and later fragments to its address', async () => {
    expect(await rules([[tcp('192.0.2.1', 80), route('10.0.0.1', 80)]])).toEqual([
      'ip daddr . meta l4proto . th dport { 192.0.2.1 . 6 . 80 } drop',
      'ip daddr . meta l4proto { 192.0.2.1 . 6 } ip frag-off & 0x3fff != 0 drop',
    ]);
  });

  test('of each family, with the expressions of that family', async () => {
    expect(
      await rules([[tcp('2001:db8::1', 80)], [{ protocol: 'udp', address: '192.0.2.1', port: 53 }]]),
    ).toEqual([
      'ip daddr . meta l4proto . th dport { 192.0.2.1 . 17 . 53 } drop',
      'ip daddr . meta l4proto { 192.0.2.1 . 17 } ip frag-off & 0x3fff != 0 drop',
      'ip6 daddr . meta l4proto . th dport { 2001:db8::1 . 6 . 80 } drop',
      'ip6 daddr . meta l4proto { 2001:db8::1 . 6 } exthdr frag exists drop',
    ]);
  });

  test('to a service of all ports without overlaps with the others of its address, which nft refuses', async () => {
    const [first] = await rules([[tcp('192.0.2.1', 80)], [tcp('192.0.2.1', 0)], [tcp('192.0.2.2', 80)]]);
    expect(first).toBe(
      'ip daddr . meta l4proto . th dport { 192.0.2.1 . 6 . 0-65535, 192.0.2.2 . 6 . 80 } drop',
    );
  });
});

test('for the data connections of FTP', async () => {
  const [first] = await rules([[tcp('192.0.2.1', 21)], [tcp('192.0.2.1', 80)]]);
  expect(first).toBe('ip daddr . meta l4proto . th dport { 192.0.2.1 . 6 . 0-65535 } drop');
});

describe('the guard drops replies', () => {
  test('of translated destinations only, except those to the host itself', async () => {
    const list = await rules([[tcp('192.0.2.1', 80), masq('10.0.0.1', 8080), route('10.0.0.2', 80)]]);
    expect(list.slice(2)).toEqual([
      'fib daddr type local return',
      'ip saddr . meta l4proto . th sport { 10.0.0.1 . 6 . 8080 } drop',
      'ip saddr . meta l4proto { 10.0.0.1 . 6 } ip frag-off & 0x3fff != 0 drop',
      'ip saddr { 10.0.0.1 } icmp type { destination-unreachable, source-quench, time-exceeded, parameter-problem } drop',
    ]);
  });

  test('of the destinations of a mark in every protocol, each destination once', async () => {
    const service = { mark: 7, family: 4 } as const;
    const list = await rules([
      [service, masq('10.0.0.1', 0)],
      [tcp('192.0.2.1', 80), masq('10.0.0.1', 80)],
    ]);
    expect(list).toContain(
      'ip saddr . meta l4proto . th sport { 10.0.0.1 . 6 . 0-65535, 10.0.0.1 . 17 . 0-65535, 10.0.0.1 . 132 . 0-65535 } drop',
    );
  });
});

describe('the guard drops packets with marks', () => {
  const service: ServiceAddress = { mark: 7, family: 4 };

  test('only for marks with a service, and the first matching rule decides', async () => {
    const marks: MarkRule[] = [
      { mark: 9, to: '10.8.0.1', protocol: 'tcp', port: 22 },
      { mark: 7, to: '10.8.0.0/16', from: '10.0.0.0/8', protocol: 'tcp', port: [80, 89] },
      { mark: 7, to: '2001:db8::/32' },
    ];
    expect(await rules([[service]], marks)).toEqual([
      'meta protocol ip ip daddr 10.8.0.1 meta l4proto tcp th dport 22 return',
      'meta protocol ip ip daddr 10.8.0.0/16 ip saddr 10.0.0.0/8 meta l4proto tcp th dport 80-89 drop',
      'meta protocol ip6 ip6 daddr 2001:db8::/32 meta l4proto { tcp, udp, sctp } return',
    ]);
  });

  test('unless no service has a mark', async () => {
    expect(await rules([[tcp('192.0.2.1', 80)]], [{ mark: 7 }])).toHaveLength(2);
  });
});

test('without services the guard drops nothing', async () => {
  expect(await rules([], [{ mark: 7 }])).toEqual([]);
});

import { describe, expect, test } from 'vitest';
import { attachGuard, createGuard, GuardContent } from '../../src/host/guard-script.ts';
import type { MarkRule } from '../../src/model/command.ts';
import type { OwnedDestination, OwnedPart } from '../../src/model/owned-packets.ts';
import type { ServiceAddress } from '../../src/model/service.ts';

const nat = (address: string, port: number): OwnedDestination => ({ method: 'nat', address, port });
const dr = (address: string, port: number): OwnedDestination => ({ method: 'dr', address, port });
const tcp = (address: string, port: number): ServiceAddress => ({ protocol: 'tcp', address, port });

const partsOf = (service: ServiceAddress, ...destinations: OwnedDestination[]): OwnedPart[] => [
  { service },
  ...destinations.map((destination) => ({ service, destination })),
];

/** A guard's content, and the commands of each change. */
class Guard {
  readonly content = new GuardContent();
  marks: readonly MarkRule[] = [];

  add(...added: OwnedPart[]): Promise<string[]> {
    return this.#change(added, []);
  }

  remove(...removed: OwnedPart[]): Promise<string[]> {
    return this.#change([], removed);
  }

  async #change(added: OwnedPart[], removed: OwnedPart[]): Promise<string[]> {
    const transactions = await this.content.change('t', { added, removed, marks: this.marks });
    return withoutLifetime(commandsOf(transactions));
  }
}

const commandsOf = (transactions: readonly string[]): string[] =>
  transactions.flatMap((each) => each.split('; '));
/** Commands about the content alone. */
const withoutLifetime = (commands: readonly string[]): string[] =>
  commands.filter((command) => !command.includes(' lasting { '));

const element = (set: string, ...elements: string[]) =>
  `add element netdev t ${set} { ${elements.join(', ')} }`;

describe('the table', () => {
  test('has no owner, so that it outlives its creator, and is one line', () => {
    expect(createGuard('lvs_7')).toMatch(/^add table netdev lvs_7; /);
    expect(createGuard('lvs_7')).not.toContain('\n');
  });

  test('precedes all other hooks on each interface, whether it was attached before or not', () => {
    const [add, flush, remove, create] = attachGuard('t', ['eth0', 'eth1']).split('; ');
    expect([add, flush, remove]).toEqual([
      'add chain netdev t ingress',
      'flush chain netdev t ingress',
      'delete chain netdev t ingress',
    ]);
    expect(create).toContain('type filter hook ingress devices = { "eth0", "eth1" } priority -500');
  });

  test('drops each kind of packet by a set, for each family', () => {
    const rules = createGuard('t');
    for (const rule of [
      'requests ip daddr . meta l4proto . th dport @requests4 drop',
      'requests ip6 daddr . meta l4proto @request_hosts6 drop',
      'requests ip daddr . meta l4proto @request_fragments4 ip frag-off & 0x3fff != 0 drop',
      'requests ip6 daddr . meta l4proto @request_fragments6 exthdr frag exists drop',
      'others ip saddr @servers4 jump replies',
      'replies ip saddr . meta l4proto . th sport @replies4 drop',
      'replies ip saddr @servers4 icmp type { destination-unreachable, source-quench, time-exceeded, parameter-problem } drop',
    ])
      expect(rules).toContain(`add rule netdev t ${rule}`);
  });

  test('leaves packets of real servers to the host itself alone', () => {
    const replies = createGuard('t')
      .split('; ')
      .filter((rule) => rule.startsWith('add rule netdev t replies '));
    expect(replies[0]).toBe('add rule netdev t replies fib daddr type local return');
  });
});

describe('the guard withholds', () => {
  test('requests to a service, and all fragments to its address', async () => {
    expect(await new Guard().add(...partsOf(tcp('192.0.2.1', 80), dr('10.0.0.1', 80)))).toEqual([
      element('requests4', '192.0.2.1 . 6 . 80'),
      element('request_fragments4', '192.0.2.1 . 6'),
    ]);
  });

  test('requests of each family', async () => {
    const udp: ServiceAddress = { protocol: 'udp', address: '2001:db8::1', port: 53 };
    expect(await new Guard().add(...partsOf(udp))).toEqual([
      element('requests6', '2001:db8::1 . 17 . 53'),
      element('request_fragments6', '2001:db8::1 . 17'),
    ]);
  });

  test.each([0, 21])(
    'every port of a service on port %d: all ports, and the data connections of FTP',
    async (port) => {
      expect(await new Guard().add(...partsOf(tcp('192.0.2.1', port)))).toContain(
        element('request_hosts4', '192.0.2.1 . 6'),
      );
    },
  );

  test('replies of FTP servers from every port', async () => {
    const added = await new Guard().add(...partsOf(tcp('192.0.2.1', 21), nat('10.0.0.1', 21)));
    expect(added).toContain(element('reply_hosts4', '10.0.0.1 . 6'));
  });

  test('replies of translated destinations only', async () => {
    const added = await new Guard().add(
      ...partsOf(tcp('192.0.2.1', 80), nat('10.0.0.1', 8080), dr('10.0.0.2', 80)),
    );
    expect(added.slice(2)).toEqual([
      element('replies4', '10.0.0.1 . 6 . 8080'),
      element('reply_fragments4', '10.0.0.1 . 6'),
      element('servers4', '10.0.0.1'),
    ]);
  });

  test('replies of the destinations of a mark in every protocol', async () => {
    expect(await new Guard().add(...partsOf({ mark: 7, family: 4 }, nat('10.0.0.1', 0)))).toContain(
      element('reply_hosts4', '10.0.0.1 . 6', '10.0.0.1 . 17', '10.0.0.1 . 132'),
    );
  });
});

describe('after its director was killed, the guard', () => {
  const LASTING = element('lasting', 'ip', 'ip6');
  const NO_LONGER = LASTING.replace('add', 'delete');
  const commands = async (content: GuardContent, added: OwnedPart[], removed: OwnedPart[] = []) =>
    commandsOf(await content.change('t', { added, removed, marks: [] }));
  const hold = (content: GuardContent, ...vips: string[]) => commandsOf(content.hold('t', new Set(vips)));

  test('lasts while a service has a VIP that the director does not hold', async () => {
    const content = new GuardContent();
    const first = partsOf(tcp('192.0.2.1', 80));
    const second = partsOf(tcp('2001:db8::1', 80));
    expect(await commands(content, first)).toContain(LASTING);
    expect(hold(content, '192.0.2.1')).toEqual([element('held4', '192.0.2.1'), NO_LONGER]);
    expect(await commands(content, second)).toContain(LASTING);
    expect(await commands(content, partsOf(tcp('2001:db8::1', 443)))).not.toContain(LASTING);
    expect(await commands(content, [], second)).not.toContain(NO_LONGER);
    expect(hold(content, '192.0.2.1', '2001:db8::1')).toEqual([element('held6', '2001:db8::1'), NO_LONGER]);
    expect(hold(content, '2001:db8::1')).toEqual([
      LASTING,
      element('held4', '192.0.2.1').replace('add', 'delete'),
    ]);
    expect(await commands(content, [], first)).toContain(NO_LONGER);
  });

  test('lasts for firewall marks, whose addresses are unknown, if the director holds no VIP', async () => {
    const content = new GuardContent();
    expect(await commands(content, partsOf({ mark: 7, family: 4 }))).toContain(LASTING);
    expect(hold(content, '192.0.2.1')).toContain(NO_LONGER);
    expect(commandsOf(await content.all('t'))).toContain(element('held4', '192.0.2.1'));
    expect(hold(content)).toContain(LASTING);
    expect(commandsOf(await content.all('t'))).toContain(LASTING);
  });

  test('withholds requests to the VIPs of other programs, but no longer to those that have expired', () => {
    const table = [createGuard('t'), attachGuard('t', ['eth0'])].join('; ');
    for (const rule of [
      'ingress meta protocol @running goto withheld',
      'ingress meta protocol @lasting jump orphaned',
      'orphaned ip daddr != @held4 jump requests',
      'orphaned ip6 daddr != @held6 jump requests',
      'orphaned jump others',
    ])
      expect(table).toContain(`add rule netdev t ${rule}`);
    expect(table).toContain('add set netdev t running { type ether_type; timeout 90s; }');
  });
});

describe('a change', () => {
  const thousand = Array.from({ length: 1000 }, (_, i) =>
    partsOf(tcp(`198.51.${i >> 8}.${i & 255}`, 80), nat('10.0.0.1', 80)),
  ).flat();

  test('writes what is new, however much there is already', async () => {
    const guard = new Guard();
    await guard.add(...thousand);
    expect(await guard.add(...partsOf(tcp('192.0.2.1', 80), nat('10.0.0.1', 80)))).toEqual([
      element('requests4', '192.0.2.1 . 6 . 80'),
      element('request_fragments4', '192.0.2.1 . 6'),
    ]);
    expect(await guard.add()).toEqual([]);
  });

  test('removes an element with the last part that needs it', async () => {
    const guard = new Guard();
    const [web, ssh] = [partsOf(tcp('192.0.2.1', 80)), partsOf(tcp('192.0.2.1', 22))];
    await guard.add(...web, ...ssh);
    expect(await guard.remove(...web)).toEqual(['delete element netdev t requests4 { 192.0.2.1 . 6 . 80 }']);
    expect(await guard.remove(...ssh)).toEqual([
      'delete element netdev t requests4 { 192.0.2.1 . 6 . 22 }',
      'delete element netdev t request_fragments4 { 192.0.2.1 . 6 }',
    ]);
  });

  test('is divided into transactions, and all of them together fill a new table', async () => {
    const guard = new Guard();
    const many = Array.from({ length: 5000 }, (_, i) =>
      partsOf(tcp(`198.51.${i >> 8}.${i & 255}`, 80)),
    ).flat();
    const change = { added: many, removed: [], marks: [] };
    const transactions = await guard.content.change('t', change);
    expect(transactions.length).toBeGreaterThan(1);
    expect((await guard.content.all('t')).join('; ').match(/198\.51/g)).toHaveLength(10_000);
  });
});

describe('the guard drops packets with marks', () => {
  const service: ServiceAddress = { mark: 7, family: 4 };
  const prefix = 'add rule netdev t marks ';

  test('only for marks with a service, and the first matching rule decides', async () => {
    const guard = new Guard();
    guard.marks = [
      { mark: 9, to: '10.8.0.1', protocol: 'tcp', port: 22 },
      { mark: 7, to: '10.8.0.0/16', from: '10.0.0.0/8', protocol: 'tcp', port: [80, 89] },
      { mark: 7, to: '2001:db8::/32' },
    ];
    expect(await guard.add({ service })).toEqual([
      'flush chain netdev t marks',
      `${prefix}meta protocol ip ip daddr 10.8.0.1 meta l4proto tcp th dport 22 accept`,
      `${prefix}meta protocol ip ip daddr 10.8.0.0/16 ip saddr 10.0.0.0/8 meta l4proto tcp th dport 80-89 drop`,
      `${prefix}meta protocol ip6 ip6 daddr 2001:db8::/32 meta l4proto { tcp, udp, sctp } accept`,
    ]);
    expect(await guard.add(...partsOf(tcp('192.0.2.1', 80)))).not.toContain('flush chain netdev t marks');
    expect(await guard.remove({ service })).toEqual(['flush chain netdev t marks']);
  });

  test('unless no service has a mark', async () => {
    const guard = new Guard();
    guard.marks = [{ mark: 7 }];
    expect(await guard.add(...partsOf(tcp('192.0.2.1', 80)))).toHaveLength(2);
  });
});

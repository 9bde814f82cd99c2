/** Programs make the connections of a client's template as the director does; the director makes and ends templates. */
import { describe, expect, test } from 'vitest';
import { end } from '../../src/director/path/connection-lifecycle.ts';
import { NONE } from '../../src/model/connection.ts';
import type { ServiceOptions } from '../../src/model/service.ts';
import { parseAddress } from '../../src/wire/address.ts';
import { TCP } from '../../src/wire/tcp.ts';
import { Pair as DirectorPair } from './pair.ts';
import type { Alone } from './two-directors.ts';

type Options = Parameters<Alone['serve']>[2];
const WEB = 'tcp 192.0.2.80:80';
const SERVERS = ['10.0.0.1:8080', '10.0.0.2:8080', '10.0.0.3:8080'];
const SERVERS6 = ['[fd00::1]:8080', '[fd00::2]:8080'];

class Pair extends DirectorPair {
  override serve(name: string, servers: readonly string[], options: Options = {}): void {
    super.serve(name, servers, { persistent: 300, ...options });
  }
}

/** A whole connection of a client with the server that `server` has; passed by the director both ways. */
const exchange = (client: string, virtual: string, server: string): string[] => [
  `${client} > ${virtual} SYN DF`,
  `${server} > ${client} SYN+ACK DF`,
  `${client} > ${virtual} ACK DF`,
  `${client} > ${virtual} PSH+ACK DF len=10`,
  `${server} > ${client} FIN+ACK DF len=10`,
  `${client} > ${virtual} FIN+ACK DF`,
];

const FAMILIES = [
  ['192.0.2.80', SERVERS, (n: number) => `203.0.113.${n}`],
  ['[2001:db8::80]', SERVERS6, (n: number) => `[2001:db8:1::${n}]`],
] as const;

describe.each(['xdp', 'tc'] as const)('%s', (hook) => {
  test.each(
    FAMILIES.flatMap(([vip, servers, client]) =>
      (['nat', 'dr', 'tunnel'] as const).map((method) => [method, vip, servers, client] as const),
    ),
  )('makes and forwards all connections of a known client, by %s to %s', (method, vip, servers, client) => {
    const pair = new Pair(hook);
    pair.serve(`tcp ${vip}:80`, servers, { method });
    expect(pair.receive(`${client(1)}:4000 > ${vip}:80 SYN DF`)).toBe(0);
    const server = method === 'nat' ? servers.at(-1)! : `${vip}:80`;
    const packets = exchange(`${client(1)}:4001`, `${vip}:80`, server);
    // The host routes replies that pass by.
    expect(pair.receive(...packets)).toBe(method === 'nat' ? 6 : 4);
    const [template] = pair.offloaded.connections.filter((line) => line.includes(':0 '));
    expect(template).toContain('ASSURED');
    expect(pair.templated).toBe(1);
    // A SYN after the end goes on with the same connection, whatever conn_reuse_mode is.
    expect(pair.receive(`${server} > ${client(1)}:4001 RST DF`, packets[0]!)).toBe(method === 'nat' ? 2 : 1);
    expect(pair.receive(`${client(1)}:4002 > ${vip}:80 SYN DF`)).toBe(1);
  });

  test.each(FAMILIES)('datagrams to %s', (vip, servers, client) => {
    const pair = new Pair(hook);
    pair.serve(`udp ${vip}:53`, servers);
    pair.receive(`${client(1)}:4000 > ${vip}:53 UDP len=9 DF`);
    const server = servers.at(-1)!;
    const packets = [
      `${client(1)}:4001 > ${vip}:53 UDP len=9 DF`,
      `${server} > ${client(1)}:4001 UDP len=9 DF`,
    ];
    expect(pair.receive(...packets, ...packets)).toBe(4);
    expect(pair.templated).toBe(1);
  });

  test.each(FAMILIES)(
    'forwards packets of a one-packet service to the server of the template: %s',
    (vip, servers, client) => {
      const pair = new Pair(hook);
      pair.serve(`udp ${vip}:53`, servers, { ops: true });
      const packet = (port: number) => `${client(1)}:${port} > ${vip}:53 UDP len=9 DF`;
      expect(pair.receive(packet(4000), packet(4000), packet(4001))).toBe(2);
      expect(pair.offloaded.connections).toHaveLength(1);
      expect(pair.templated).toBe(2);
    },
  );

  test.each<[string, string, readonly string[], Partial<ServiceOptions>, readonly [string, string], string]>([
    [
      '/24',
      '192.0.2.80',
      SERVERS,
      { persistencePrefix: 24 },
      ['203.0.113.1', '203.0.113.254'],
      '203.0.114.1',
    ],
    ['/0', '192.0.2.80', SERVERS, { persistenceMask: '0.0.0.0' }, ['203.0.113.1', '198.51.100.7'], ''],
    [
      'a mask',
      '192.0.2.80',
      SERVERS,
      { persistenceMask: '255.255.0.255' },
      ['203.0.113.1', '203.0.9.1'],
      '203.0.9.2',
    ],
    [
      '/64',
      '[2001:db8::80]',
      SERVERS6,
      { persistencePrefix: 64 },
      ['[2001:db8:1::1]', '[2001:db8:1::2:2]'],
      '[2001:db8:1:1::1]',
    ],
    ['/1', '[2001:db8::80]', SERVERS6, { persistencePrefix: 1 }, ['[2001:db8:1::1]', '[2a00::1]'], ''],
  ])(
    'clients of one network have one template: %s',
    (_what, vip, servers, options, [first, second], other) => {
      const pair = new Pair(hook);
      pair.serve('tcp 192.0.2.99:80', SERVERS);
      pair.serve('tcp [2001:db8::99]:80', SERVERS6);
      // Programs know the next hops of clients that the director has sent to.
      for (const client of [first, second, other].filter((each) => each !== ''))
        pair.receive(`${client}:1 > ${client.startsWith('[') ? '[2001:db8::99]' : '192.0.2.99'}:80 SYN DF`);
      pair.serve(`tcp ${vip}:80`, servers, options);
      expect(pair.receive(`${first}:4000 > ${vip}:80 SYN DF`)).toBe(0);
      expect(pair.receive(`${second}:4000 > ${vip}:80 SYN DF`, `${first}:4001 > ${vip}:80 SYN DF`)).toBe(2);
      if (other !== '') expect(pair.receive(`${other}:4000 > ${vip}:80 SYN DF`)).toBe(0);
    },
  );

  test.each<[string, string, readonly string[], readonly number[]]>([
    ['every port', 'tcp 192.0.2.80:0', ['10.0.0.1:0', '10.0.0.2:0'], [80, 443, 21, 8080]],
    ['every port, servers with one', 'tcp 192.0.2.80:0', ['10.0.0.1:8080', '10.0.0.2:8080'], [80, 8080, 443]],
    ['FTP', 'tcp 192.0.2.80:21', ['10.0.0.1:21', '10.0.0.2:21'], [21, 21]],
  ])('a template of %s has no port', (_what, name, servers, ports) => {
    const pair = new Pair(hook);
    // Programs make no control connections that the director assists.
    pair.serve(name, servers, { helper: 'none' });
    pair.receive(`203.0.113.1:4000 > 192.0.2.80:${ports[0]} SYN DF`);
    for (const port of ports) {
      expect(pair.receive(`203.0.113.1:5000 > 192.0.2.80:${port} SYN DF`)).toBe(1);
      const server = servers.at(-1)!.replace(/:\d+$/, '');
      const own = name.endsWith(':0') ? port : servers.at(-1)!.split(':').at(-1);
      expect(pair.receive(`${server}:${own} > 203.0.113.1:5000 SYN+ACK DF`)).toBe(1);
    }
    expect(pair.offloaded.connections.filter((line) => line.includes(':0 '))).toHaveLength(1);
  });

  test('a service of every port leaves data connections of FTP at its address to the director', () => {
    const pair = new Pair(hook);
    pair.serve('tcp 192.0.2.80:21', ['10.0.0.1:21']);
    pair.serve('tcp 192.0.2.80:0', ['10.0.0.2:0']);
    for (const port of [4000, 4001])
      expect(pair.receive(`203.0.113.1:${port} > 192.0.2.80:5000 SYN DF`)).toBe(0);
    expect(pair.offloaded.connections.every((line) => line.includes('10.0.0.1'))).toBe(true);
  });

  test('the weight 0 of its destination ends a template with expire_quiescent_template alone', () => {
    const pair = new Pair(hook);
    pair.serve(WEB, SERVERS);
    const first = (port: number) => `203.0.113.1:${port} > 192.0.2.80:80 SYN DF`;
    pair.receive(first(4000));
    pair.both((one) => {
      one.edit(WEB, SERVERS.at(-1)!, { weight: 0 });
      one.settle();
    });
    expect(pair.receive(first(4001))).toBe(1);
    pair.both((one) => one.set('expire_quiescent_template', 1));
    // The director makes another template.
    expect(pair.receive(first(4002))).toBe(0);
    expect(pair.receive(first(4003))).toBe(1);
    expect(pair.offloaded.connections.filter((line) => line.includes(':65535'))).toHaveLength(1);
  });

  test('an overloaded destination keeps its templates, a removed one loses them', () => {
    const pair = new Pair(hook);
    pair.serve(WEB, SERVERS, { upperThreshold: 2 });
    const first = (port: number) => `203.0.113.1:${port} > 192.0.2.80:80 SYN DF`;
    pair.receive(first(4000));
    expect(pair.receive(first(4001), first(4002), first(4003))).toBe(3);
    pair.both((one) => {
      one.remove(WEB, SERVERS.at(-1)!);
      one.settle();
    });
    expect(pair.receive(first(4004))).toBe(0);
    expect(pair.receive(first(4005))).toBe(1);
    // The former destination comes back; the template is that of the new one.
    pair.both((one) => {
      one.add(WEB, SERVERS.at(-1)!);
      one.settle();
    });
    expect(pair.receive(first(4006))).toBe(1);
  });

  test('a template lives as long as a connection that a program made, and ends afterwards', () => {
    const pair = new Pair(hook);
    pair.both((one) => {
      one.director.apply({ op: 'set-timeouts', timeouts: { tcp: 900, tcpFin: 0, udp: 0 } }, one.now);
      one.serve(WEB, SERVERS, { persistent: 30 });
      one.settle();
    });
    const [client, virtual, server] = ['203.0.113.1:4001', '192.0.2.80:80', SERVERS.at(-1)!];
    pair.receive('203.0.113.1:4000 > 192.0.2.80:80 SYN DF');
    expect(pair.receive(...exchange(client, virtual, server).slice(0, 4))).toBe(4);
    const wait = (seconds: number) => {
      for (const one of [pair.alone, pair.offloaded]) for (let i = 0; i < seconds; i++) one.wait(1);
    };
    const templates = () => pair.offloaded.connections.filter((line) => line.includes(':0 '));
    wait(800);
    expect(templates()).toHaveLength(1);
    expect(pair.offloaded.connections).toEqual(pair.alone.connections);
    wait(300);
    expect(pair.offloaded.connections).toEqual([]);
    expect(pair.alone.connections).toEqual([]);
  });

  test('a program restarts the timer of a template', () => {
    const pair = new Pair(hook);
    pair.serve(WEB, SERVERS, { persistent: 300 });
    pair.receive('203.0.113.1:4000 > 192.0.2.80:80 SYN DF');
    const rest = () =>
      [...pair.offloaded.director.connections(pair.offloaded.now)].find((each) => each.template)!.expires;
    for (const one of [pair.alone, pair.offloaded]) one.wait(200);
    expect(rest()).toBeLessThan(105);
    expect(pair.receive('203.0.113.1:4001 > 192.0.2.80:80 SYN DF')).toBe(1);
    expect(rest()).toBeGreaterThan(295);
  });

  test('two templates with one key go up: the newest decides', () => {
    const pair = new Pair(hook);
    pair.serve(WEB, SERVERS);
    pair.receive('203.0.113.1:4000 > 192.0.2.80:80 SYN DF');
    pair.both((one) => {
      const { table } = one.director.context;
      const [caddr, vaddr] = ['203.0.113.1', '192.0.2.80'].map((text) => parseAddress(text)!);
      const ends = { protocol: TCP, caddr: caddr!, cport: 0, vaddr: vaddr!, vport: 80 };
      const row = table.add(ends, { destination: 1, dport: 8080, flags: 0x1000, salt: 0 });
      expect(row).not.toBe(NONE);
      table.setTimeout(row, 300_000);
      table.touch(row, one.now);
    });
    expect(pair.receive('203.0.113.1:4001 > 192.0.2.80:80 SYN DF')).toBe(0);
    expect(pair.offloaded.connections.join()).toContain('203.0.113.1:4001 192.0.2.80:80 10.0.0.1:8080');
  });

  test('a template that the director ends while a program takes it controls nothing', () => {
    const pair = new Pair(hook);
    pair.serve(WEB, SERVERS);
    pair.receive('203.0.113.1:4000 > 192.0.2.80:80 SYN DF');
    const endTemplate = ({ director: { context } }: Alone) => {
      const rows = [...context.table.rows()];
      for (const row of [...rows.filter((each) => !context.table.isTemplate(each)), ...rows])
        if (context.table.has(row)) expect(end(context, row)).toBe(true);
    };
    endTemplate(pair.alone);
    let ended = 0;
    pair.offloaded.onClock = (reads) => {
      // When the program that makes the row begins.
      if (reads !== 3) return;
      endTemplate(pair.offloaded);
      ended++;
    };
    expect(pair.receive('203.0.113.1:4001 > 192.0.2.80:80 SYN DF')).toBe(0);
    expect(ended).toBe(1);
    expect(pair.offloaded.connections).toHaveLength(2);
    pair.offloaded.onClock = () => {};
    expect(pair.receive('203.0.113.1:4002 > 192.0.2.80:80 SYN DF')).toBe(1);
  });

  test('a full table leaves the client to the director, and the count of its template right', () => {
    const pair = new Pair(hook);
    pair.serve(WEB, SERVERS);
    const lines = Array.from({ length: 200 }, (_, i) => `203.0.113.1:${4000 + i} > 192.0.2.80:80 SYN DF`);
    for (const line of lines) pair.offloaded.receive(line);
    const { table } = pair.offloaded.director.context;
    const rows = [...table.rows()];
    const template = rows.find((row) => table.isTemplate(row))!;
    expect(rows.length).toBeGreaterThan(100);
    expect(table.children(template)).toBe(rows.filter((row) => table.template(row) === template).length);
    pair.offloaded.wait(61);
    pair.offloaded.wait(61);
    expect(table.children(template)).toBe(0);
  });
});

import { expect, test } from 'vitest';
import { procConnection, procServices, procStats } from '../../src/control/procfs.ts';
import { Director } from '../../src/director/director.ts';
import type { Command } from '../../src/model/command.ts';
import type { ServiceAddress, ServiceOptions } from '../../src/model/service.ts';
import type { ConnectionSnapshot } from '../../src/model/snapshot.ts';

/** The lines of ip_vs below its head, for one service with destinations of these methods. */
function linesOf(
  service: ServiceAddress,
  options: ServiceOptions,
  ...destinations: (readonly [
    address: string,
    port: number,
    method: 'nat' | 'dr' | 'tunnel',
    weight: number,
  ])[]
): string[] {
  const director = new Director({
    host: { transmit: () => true, route: () => undefined, isLocal: () => false },
    maxConnections: 16,
  });
  const commands: Command[] = [
    { op: 'add-service', service, options },
    ...destinations.map(([address, port, method, weight]) => ({
      op: 'add-destination' as const,
      service,
      destination: { address, port },
      options: { method, weight },
    })),
  ];
  for (const command of commands) director.apply(command, 0);
  return [...procServices(director.snapshot(0))].join('').split('\n').slice(3);
}
const tcp = (address: string, port: number): ServiceAddress => ({ protocol: 'tcp', address, port });

// Every expectation here is a line that Linux 6.1 printed.
test.each<[string, string[], string[]]>([
  [
    'IPv4',
    linesOf(tcp('10.9.0.1', 84), { scheduler: 'rr' }, ['fd01::12', 84, 'tunnel', 1]),
    [
      'TCP  0A090001:0054 rr  ',
      '  -> [fd01:0000:0000:0000:0000:0000:0000:0012]:0054      Tunnel  1      0          0         ',
    ],
  ],
  [
    'IPv6',
    linesOf(tcp('fd09::1', 83), { scheduler: 'rr' }, ['10.1.0.11', 83, 'tunnel', 1]),
    [
      'TCP  [fd09:0000:0000:0000:0000:0000:0000:0001]:0053 rr ',
      '  -> 0A01000B:0053      Tunnel  1      0          0         ',
    ],
  ],
  [
    'persistent',
    linesOf(tcp('10.9.0.1', 80), { scheduler: 'rr', persistent: 300 }, ['10.1.0.12', 80, 'dr', 10]),
    [
      'TCP  0A090001:0050 rr  persistent 30000 FFFFFFFF',
      '  -> 0A01000C:0050      Route   10     0          0         ',
    ],
  ],
  [
    'persistent, IPv6',
    linesOf(tcp('fd09::2', 0), { scheduler: 'rr', persistent: 360 }),
    ['TCP  [fd09:0000:0000:0000:0000:0000:0000:0002]:0000 rr persistent 36000 80000000'],
  ],
  [
    'a firewall mark',
    linesOf({ mark: 1, family: 4 }, { scheduler: 'wrr', persistent: 60, persistencePrefix: 16 }, [
      '10.1.0.11',
      0,
      'dr',
      1,
    ]),
    [
      'FWM  00000001 wrr persistent 6000 FFFF0000',
      '  -> 0A01000B:0000      Route   1      0          0         ',
    ],
  ],
  [
    'one-packet scheduling',
    linesOf({ protocol: 'udp', address: '10.9.0.1', port: 53 }, { scheduler: 'rr', ops: true }),
    ['UDP  0A090001:0035 rr ops  '],
  ],
])('ip_vs: %s', (_name, lines, expected) => {
  expect(lines).toEqual([...expected, '']);
});

const CONNECTION: ConnectionSnapshot = {
  protocol: 'TCP',
  state: 'ESTABLISHED',
  expires: 899,
  clientAddress: '10.0.0.11',
  clientPort: 1001,
  virtualAddress: '10.9.0.1',
  virtualPort: 80,
  destinationAddress: '10.1.0.12',
  destinationPort: 80,
  template: false,
};

test.each<[string, Partial<ConnectionSnapshot>, string]>([
  ['IPv4', {}, 'TCP 0A00000B 03E9 0A090001 0050 0A01000C 0050 ESTABLISHED     899\n'],
  [
    'a template of a firewall mark',
    {
      protocol: 'IP',
      state: 'ASSURED',
      expires: 99,
      clientPort: 0,
      virtualAddress: '0.0.0.7',
      virtualPort: 0,
      destinationPort: 0,
    },
    'IP  0A00000B 0000 00000007 0000 0A01000C 0000 ASSURED          99\n',
  ],
  [
    'two families',
    {
      state: 'SYN_RECV',
      expires: 59,
      clientAddress: '10.0.0.10',
      clientPort: 1000,
      virtualPort: 84,
      destinationAddress: 'fd01::12',
      destinationPort: 84,
    },
    'TCP 0A00000A 03E8 0A090001 0054 fd01:0000:0000:0000:0000:0000:0000:0012 0054 SYN_RECV         59\n',
  ],
  [
    'a persistence engine',
    {
      protocol: 'UDP',
      state: 'NONE',
      expires: 59,
      clientAddress: '10.0.0.42',
      clientPort: 0,
      virtualPort: 5060,
      destinationAddress: '10.1.0.11',
      destinationPort: 5060,
      engine: 'sip',
      engineData: 'zzz@host',
    },
    'UDP 0A00002A 0000 0A090001 13C4 0A01000B 13C4 NONE             59 sip zzz@host\n',
  ],
])('ip_vs_conn: %s', (_name, partial, line) => {
  expect(procConnection({ ...CONNECTION, ...partial })).toBe(line);
});

test('ip_vs_stats has hexadecimal numbers and rates rounded down', () => {
  const stats = { connections: 20, inPackets: 40, outPackets: 20, inOctets: 1600, outOctets: 800 };
  const rates = { connections: 2.5, inPackets: 5, outPackets: 2.5, inOctets: 200, outOctets: 100 };
  expect(procStats({ stats, rates })).toBe(
    [
      '   Total Incoming Outgoing         Incoming         Outgoing',
      '   Conns  Packets  Packets            Bytes            Bytes',
      '      14       28       14              640              320',
      '',
      ' Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s',
      '       2        5        2               C8               64',
      '',
    ].join('\n'),
  );
});

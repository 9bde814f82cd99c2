import { expect, test } from 'vitest';
import { parseRoutes4, parseRoutes6, Routes, type TableEntry } from '../../src/host/routes.ts';
import { formatAddress, parseAddress } from '../../src/wire/address.ts';

const readable = ({ to, bits, gateway, device, metric }: TableEntry) =>
  `${formatAddress(to)}/${bits} via ${gateway ? formatAddress(gateway) : 'link'} dev ${device} metric ${metric}`;

test('/proc/net/route has addresses in host order, and reject routes are skipped', () => {
  const table = [
    'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
    'eth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0',
    'eth1\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0',
    '*\t0000000A\t00000000\t0201\t0\t0\t0\t000000FF\t0\t0\t0',
    '',
  ];
  expect(parseRoutes4(table.join('\n')).map(readable)).toEqual([
    '0.0.0.0/0 via 192.168.0.1 dev eth0 metric 100',
    '192.168.1.0/24 via link dev eth1 metric 0',
  ]);
});

test('/proc/net/ipv6_route is all hexadecimal, and loopback is skipped', () => {
  const zero = '0'.repeat(32);
  const table = [
    `20010db8${'0'.repeat(24)} 40 ${zero} 00 ${zero} 00000100 00000001 00000000 00000001     eth0`,
    `${zero} 00 ${zero} 00 fe80${'0'.repeat(27)}1 00000400 00000001 00000000 00000003     eth0`,
    `${zero} 00 ${zero} 00 ${zero} ffffffff 00000001 00000000 00200200       lo`,
    '',
  ];
  expect(parseRoutes6(table.join('\n')).map(readable)).toEqual([
    '2001:db8::/64 via link dev eth0 metric 256',
    '::/0 via fe80::1 dev eth0 metric 1024',
  ]);
});

test('in the tables of this host, loopback is local and the rest of the world is not', () => {
  const routes = new Routes();
  expect(routes.isLocal(parseAddress('127.0.0.1')!)).toBe(true);
  expect(routes.isLocal(parseAddress('192.0.2.1')!)).toBe(false);
});

test('an answer does not change when requested again, and is cached while nothing changed', () => {
  const routes = new Routes();
  const to = parseAddress('192.0.2.1')!;
  expect(routes.route(to)).toBe(routes.route(to));
  expect(routes.refresh()).toBe(false);
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { sortDestinations, sortServices } from '../../src/ipvsadm/order.ts';
import type { ServiceAddress } from '../../src/model/service.ts';
import type { DestinationSnapshot, ServiceSnapshot } from '../../src/model/snapshot.ts';

const at = (address: string, port = 80) => ({ address, port }) as DestinationSnapshot;
const of = (service: ServiceAddress) => ({ service }) as ServiceSnapshot;
const tcp = (address: string, port = 80): ServiceAddress => ({ protocol: 'tcp', address, port });

const names = (destinations: readonly DestinationSnapshot[]) =>
  destinations.map((d) => `${d.address} ${d.port}`);

test('destinations with similar addresses are ordered by address and port', () => {
  const near = fc.array(fc.tuple(fc.nat(255), fc.nat(65535)), { maxLength: 40 });
  fc.assert(
    fc.property(near, (pairs) => {
      const sorted = sortDestinations(pairs.map(([last, port]) => at(`10.1.0.${last}`, port)));
      const wanted = [...pairs].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
      expect(names(sorted)).toEqual(wanted.map(([last, port]) => `10.1.0.${last} ${port}`));
    }),
  );
});

test('a difference of more than 31 bits reverses the order, as in ipvsadm', () =>
  expect(names(sortDestinations([at('10.1.0.1'), at('192.168.0.1')]))).toEqual([
    '192.168.0.1 80',
    '10.1.0.1 80',
  ]));

test('services are ordered by mark, family, protocol, address and port', () => {
  const wanted: ServiceAddress[] = [
    { mark: 4_294_967_295, family: 4 },
    tcp('10.9.0.1', 80),
    tcp('10.9.0.1', 443),
    tcp('10.9.0.2', 80),
    { protocol: 'udp', address: '10.9.0.1', port: 53 },
    { protocol: 'sctp', address: '10.9.0.1', port: 9 },
    tcp('fd09::1'),
    { mark: 1, family: 4 },
    { mark: 1, family: 6 },
    { mark: 2, family: 4 },
  ];
  const mixed = fc.shuffledSubarray(wanted, { minLength: wanted.length });
  fc.assert(
    fc.property(mixed, (services) => {
      expect(sortServices(services.map(of)).map(({ service }) => service)).toEqual(wanted);
    }),
  );
});

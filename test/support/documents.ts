/** Random documents, for properties of the configuration. */
import fc from 'fast-check';
import type { Document, ServiceDocument } from '../../src/config/document.ts';
import type { Names } from '../../src/config/names.ts';

const HOSTS: Readonly<Record<string, string>> = {
  rs1: '192.168.0.3',
  rs2: '192.168.0.4',
  rs3: '192.168.0.5',
};

/** Names as the laboratory's /etc/hosts and /etc/services have them. */
export const labNames: Names = {
  port: (name) => ({ http: 80, www: 80, telnet: 23, domain: 53 })[name],
  host: async (name) => HOSTS[name] ?? (/^\d+\.\d+\.\d+\.\d+$|:/.test(name) ? name : undefined),
};

const options = fc.record(
  {
    scheduler: fc.constantFrom('rr', 'wrr', 'wlc'),
    persistent: fc.integer({ min: 1, max: 100_000 }),
    persistencePrefix: fc.integer({ min: 1, max: 32 }),
    engine: fc.constant('sip'),
  },
  { requiredKeys: ['scheduler'] },
);

const check = fc.record({
  type: fc.constantFrom('tcp' as const, 'http' as const),
  interval: fc.integer({ min: 1, max: 60 }),
  timeout: fc.constant(3),
  fall: fc.constant(2),
  rise: fc.integer({ min: 1, max: 5 }),
  maxStep: fc.constant(20),
  slowStart: fc.integer({ min: 0, max: 60 }),
});

const destination = fc.record({
  name: fc.constantFrom(...Object.keys(HOSTS)),
  weight: fc.nat({ max: 5 }),
  upper: fc.constantFrom(0, 10),
  gue: fc.boolean(),
});

/** Few addresses and ports, so that two random documents have services in common. */
const service = fc.record({
  protocol: fc.constantFrom('tcp' as const, 'udp' as const, 'sctp' as const),
  port: fc.integer({ min: 1, max: 3 }),
  options,
  check: fc.option(check, { nil: undefined }),
  destinations: fc.uniqueArray(destination, { selector: (each) => each.name, maxLength: 3 }),
});

/** Any document that a director accepts; method: of all destinations. */
export const documents: fc.Arbitrary<Document> = fc
  .record({
    method: fc.constantFrom('nat' as const, 'dr' as const, 'tunnel' as const),
    active: fc.boolean(),
    drain: fc.nat({ max: 1000 }),
    adopt: fc.constantFrom('keep' as const, 'replace' as const),
    services: fc.uniqueArray(service, { selector: (each) => `${each.protocol}${each.port}`, maxLength: 5 }),
  })
  .map(({ services, ...rest }) => ({
    ...rest,
    vips: [{ device: 'eth0', alias: '101', address: '192.168.0.101', prefix: 24 }],
    director: {},
    realServers: { vipDevice: 'dummy0' },
    settings: { sloppy_tcp: 1 },
    timeouts: { tcpFin: 60 },
    marks: [{ mark: 3, to: '10.0.0.0/8', port: [1, 2] as const }],
    services: services.map(
      (each): ServiceDocument => ({
        service: { protocol: each.protocol, address: '192.168.0.101', port: each.port },
        options: each.options,
        ...(each.check && { check: each.check }),
        destinations: each.destinations.map(({ name, weight, upper, gue }) => ({
          name,
          destination: { address: HOSTS[name]!, port: each.port },
          options: {
            method: gue ? ('ipip' as const) : ('masq' as const),
            weight,
            ...(upper > 0 && { upperThreshold: upper }),
            ...(gue && { tunnel: { type: 'gue' as const, port: 6080, checksum: 'none' as const } }),
          },
        })),
      }),
    ),
  }));

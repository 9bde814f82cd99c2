/** Random documents, for properties of the configuration. */
import fc from 'fast-check';
import type { Document, ServiceDocument } from '../../src/config/document.ts';
import type { Names } from '../../src/config/names.ts';
import { formatService } from '../../src/model/naming.ts';

const HOSTS: Readonly<Record<string, string>> = {
  rs1: '192.168.0.3',
  rs2: '192.168.0.4',
  rs3: '192.168.0.5',
};

/** Names as the laboratory's /etc/hosts and /etc/services have them. */
export const labNames: Names = {
  port: (name) => ({ http: 80, www: 80, telnet: 23, domain: 53 })[name],
  host: async (name, family) =>
    (family === 6 ? undefined : HOSTS[name]) ?? (/^\d+\.\d+\.\d+\.\d+$|:/.test(name) ? name : undefined),
};

const persistence = {
  persistent: fc.integer({ min: 1, max: 100_000 }),
  persistencePrefix: fc.integer({ min: 1, max: 32 }),
  engine: fc.constant('sip'),
};
const options = fc.oneof(
  fc.record(
    { scheduler: fc.constantFrom('rr', 'wrr', 'wlc'), ...persistence },
    { requiredKeys: ['scheduler'] },
  ),
  fc.record(
    {
      scheduler: fc.constantFrom('sh', 'mh'),
      schedulerFlags: fc.integer({ min: 1, max: 3 }),
      ...persistence,
    },
    { requiredKeys: ['scheduler'] },
  ),
);

const timing = {
  interval: fc.integer({ min: 1, max: 60 }),
  timeout: fc.constantFrom(0.5, 3),
  retryInterval: fc.constantFrom(0.5, 9),
  fall: fc.constant(2),
  rise: fc.integer({ min: 1, max: 5 }),
  maxStep: fc.constantFrom(20, 100),
  slowStart: fc.integer({ min: 0, max: 60 }),
};
/** What YAML could take for something else. */
const words = fc.constantFrom('yes', '1e3', '#', 'a: b', ' ', "'", '"', 'x\ny', 'é', '*a', '- ');
const program = fc.array(words, { minLength: 1, maxLength: 3 });
const check = fc.oneof(
  fc.record({ type: fc.constantFrom('tcp' as const, 'agent' as const), ...timing }),
  fc.record({
    type: fc.constantFrom('http' as const, 'https' as const),
    redirects: fc.constant(3),
    path: fc.constantFrom('/', '/a?b#c'),
    expect: words,
    status: fc.constantFrom(
      [[200, 200]] as const,
      [[200, 299]] as const,
      [
        [200, 201],
        [503, 503],
      ] as const,
    ),
    match: fc.constantFrom('^a\\.b$', '(?i)x'),
    ...timing,
  }),
  fc.record({
    type: fc.constant('https' as const),
    sni: fc.constant('a.b'),
    verify: fc.constant(false),
    ...timing,
  }),
  fc.record({ type: fc.constant('udp' as const), send: words, port: fc.constant(9), ...timing }),
  fc.record({
    type: fc.constant('command' as const),
    command: fc.array(words, { minLength: 1, maxLength: 3 }),
    ...timing,
  }),
  fc.record({
    type: fc.constant('command' as const),
    command: fc.constant(['x']),
    user: fc.constantFrom('lvs', 'lvs:adm'),
    dynamic: fc.boolean(),
    ...timing,
  }),
  fc.record({ type: fc.constant('http' as const), digest: fc.constant('0'.repeat(32)), ...timing }),
);
const checks = fc.array(check, { minLength: 1, maxLength: 3 });

const GUE = { type: 'gue', port: 6080 } as const;
const ways = [
  { method: 'nat' },
  { method: 'tunnel' },
  { method: 'tunnel', tunnel: { type: 'gre', port: 0, checksum: 'csum' } },
  { method: 'tunnel', tunnel: { ...GUE, checksum: 'none' } },
  { method: 'tunnel', tunnel: { ...GUE, checksum: 'remcsum' } },
  { method: 'dr' },
] as const;
const destination = fc.record({
  name: fc.constantFrom(...Object.keys(HOSTS)),
  weight: fc.nat({ max: 5 }),
  thresholds: fc.constantFrom({}, { upperThreshold: 10 }, { upperThreshold: 10, lowerThreshold: 7 }),
  way: fc.constantFrom(...ways),
  /** Checks of the destination alone; null: none. */
  own: fc.option(fc.option(checks, { nil: null }), { nil: undefined }),
  inhibit: fc.constantFrom(undefined, true, false),
  ownNotify: fc.option(fc.record({ 'destination-up': program }), { nil: undefined }),
  /** Of NAT only: the others have the service's. */
  port: fc.constantFrom(undefined, 8080),
});

/** Few addresses and ports, so that two random documents have services in common. */
const service = fc.record({
  address: fc.oneof(
    fc.record({
      protocol: fc.constantFrom('tcp' as const, 'udp' as const, 'sctp' as const),
      address: fc.constant('192.168.0.101'),
      port: fc.integer({ min: 1, max: 3 }),
    }),
    fc.record({ mark: fc.constantFrom(1, 0x7fffffff), family: fc.constant(4 as const) }),
  ),
  options,
  onePacket: fc.boolean(),
  checks: fc.option(checks, { nil: undefined }),
  quorum: fc.constantFrom(undefined, { weight: 3, hysteresis: 2 }, { weight: 9, hysteresis: 0 }),
  sorry: fc.constantFrom(undefined, true, false),
  notify: fc.option(fc.record({ 'quorum-up': program, 'service-down': program }), { nil: undefined }),
  destinations: fc.uniqueArray(destination, { selector: (each) => each.name, maxLength: 3 }),
});

const sync = fc.record({
  keyFile: fc.constant('/etc/lvs/sync.key'),
  peers: fc.constantFrom([], ['10.0.0.1', 'fd00::2']),
  bulkPort: fc.constantFrom(8849, 9000),
  role: fc.constantFrom('master' as const, 'backup' as const, 'both' as const),
  daemon: fc.record(
    {
      interface: fc.constantFrom('eth0', 'eth1'),
      syncId: fc.constantFrom(0, 7),
      group: fc.constantFrom('224.0.0.81', 'ff02::81'),
      port: fc.constantFrom(8848, 9000),
      ttl: fc.constantFrom(1, 2),
      maxLength: fc.constantFrom(1024, 1400),
    },
    { requiredKeys: ['interface', 'syncId'] },
  ),
});

/** Any document that a director accepts; method: of all destinations. */
export const documents: fc.Arbitrary<Document> = fc
  .record({
    method: fc.constantFrom('nat' as const, 'dr' as const, 'tunnel' as const),
    active: fc.boolean(),
    scriptUser: fc.constantFrom('lvs', 'lvs:adm'),
    drain: fc.nat({ max: 1000 }),
    restart: fc.record({
      keep: fc.boolean(),
      orphan: fc.constantFrom(60, 5),
      release: fc.constantFrom(600, 61),
    }),
    adopt: fc.constantFrom('keep' as const, 'replace' as const),
    sync: fc.option(sync, { nil: undefined }),
    announce: fc.option(
      fc.record(
        {
          rise: fc.constantFrom(2, 0),
          bird: fc.record({
            socket: fc.constantFrom('/run/bird/bird.ctl', '/run/other.ctl'),
            file: fc.constantFrom('/run/lvs/announce.conf', '/run/other.conf'),
          }),
        },
        { requiredKeys: ['rise'] },
      ),
      { nil: undefined },
    ),
    takeover: fc.option(fc.record({ history: fc.constantFrom(300, 0), share: fc.constantFrom(75, 100) }), {
      nil: undefined,
    }),
    services: fc.uniqueArray(service, { selector: ({ address }) => JSON.stringify(address), maxLength: 5 }),
  })
  .map(({ services, sync, announce, takeover, ...rest }) => ({
    ...rest,
    ...(sync && { sync }),
    ...(announce && { announce }),
    ...(takeover && { takeover }),
    vips: [{ device: 'eth0', alias: '101', address: '192.168.0.101', prefix: 24 }],
    director: {},
    realServers: { vipDevice: 'dummy0' },
    settings: { sloppy_tcp: 1 },
    timeouts: { tcpFin: 60 },
    marks: [{ mark: 3, to: '10.0.0.0/8', port: [1, 2] as const }],
    services: services.map(
      ({ address, options, onePacket, checks, quorum, sorry, notify, destinations }): ServiceDocument => ({
        service: address,
        ...(onePacket && { name: formatService(address).replace(/[^a-z0-9]+/g, '-') }),
        options: {
          ...options,
          ...(onePacket && (!('protocol' in address) || address.protocol === 'udp') && { ops: true }),
        },
        ...(quorum && { quorum }),
        ...(notify && { notify }),
        ...(sorry !== undefined && {
          sorry: [
            {
              server: '192.168.0.9',
              destination: { address: '192.168.0.9', port: 'port' in address ? address.port : 0 },
              options: { method: 'dr', weight: 1 },
              ...(sorry && { inhibit: true, ...(checks && { checks }) }),
            },
          ],
        }),
        destinations: destinations.map(
          ({ name, weight, thresholds, way, port, inhibit, ownNotify, own: ownChecks }) => {
            const all = ownChecks === undefined ? checks : ownChecks;
            const own = 'port' in address ? address.port : 0;
            return {
              server: name,
              ...(port !== undefined && {
                name: `${name}-${'port' in address ? address.port : address.mark}`,
              }),
              destination: { address: HOSTS[name]!, port: way.method === 'nat' ? (port ?? own) : own },
              options: { weight, ...thresholds, ...way },
              ...(all && { checks: all }),
              ...(inhibit !== undefined && { inhibit }),
              ...(ownNotify && { notify: ownNotify }),
            };
          },
        ),
      }),
    ),
  }));

/** The shapes of laboratories: their hosts, segments, addresses and routes. */

export interface LabOptions {
  /**
   * `dr`: all hosts on one segment. `nat`: the servers on a separate segment, with the director as their default route.
   * `tunnel`: the servers on a remote segment, behind a router. `all`: one segment for all hosts, and a second one with
   * director and servers, for comparing the methods. `ecmp`: a router between the client and three directors on one segment
   * with the servers; it spreads connections over the routes that it has to an address.
   */
  readonly shape?: 'dr' | 'nat' | 'tunnel' | 'all' | 'ecmp';
  /** Real servers, 1..9; default 2. */
  readonly servers?: number;
  readonly ipv6?: boolean;
  /** Whether there is a second director, vs2, on the same segments. */
  readonly pair?: boolean;
  /** `on` as Linux has it, so that checksums are partial and segments merged; `off` as on the wire. */
  readonly offloads?: 'on' | 'off';
}

export interface Interface {
  readonly name: string;
  readonly segment: string;
  readonly mac: string;
  readonly address: string;
  readonly address6?: string;
}

export interface HostPlan {
  readonly name: string;
  readonly interfaces: readonly Interface[];
  /** `ip` lines. */
  readonly routes: readonly string[];
  readonly sysctls: readonly string[];
}

export interface Topology {
  readonly segments: readonly string[];
  readonly hosts: readonly HostPlan[];
  readonly vip: string;
  readonly vip6: string;
}

/** The routing table for what leaves from an address of the second segment. */
const INSIDE_TABLE = 101;
const VS1 = 1;
const VS2 = 2;
const RS1 = 3;
const CLIENT = 200;
const ROUTER = 254;
/** The first of the directors behind a router, and their number. */
const VS_BEHIND_ROUTER = 11;
const BEHIND_ROUTER = 3;

/** Segments by number: 192.168.<n>.0/24 and fd00:0:0:<n>::/64. */
const OUTSIDE = 0;
const INSIDE = 1;
const FAR = 2;
const SEGMENTS = ['segment', 'inside', 'far'] as const;

export function plan({ shape = 'dr', servers = 2, ipv6 = false, pair = false }: LabOptions): Topology {
  const link = (segment: number, number: number, name = 'eth0'): Interface => ({
    name,
    segment: SEGMENTS[segment]!,
    mac: `02:00:00:00:0${segment}:${number.toString(16).padStart(2, '0')}`,
    address: `192.168.${segment}.${number}`,
    ...(ipv6 ? { address6: `fd00:0:0:${segment}::${number}` } : {}),
  });
  const host = (
    name: string,
    interfaces: Interface[],
    routes: string[] = [],
    sysctls: string[] = [],
  ): HostPlan => ({
    name,
    interfaces,
    routes: routes.filter((line) => ipv6 || !line.startsWith('-6 ')),
    sysctls,
  });
  const via = (segment: number, number: number, to = 'default', to6 = 'default') => [
    `route add ${to} via 192.168.${segment}.${number}`,
    `-6 route add ${to6} via fd00:0:0:${segment}::${number}`,
  ];
  const each = (make: (number: number, name: string) => HostPlan) =>
    Array.from({ length: servers }, (_, i) => make(RS1 + i, `rs${i + 1}`));

  const client = (routes: string[] = []) => host('client', [link(OUTSIDE, CLIENT)], routes);
  const vs = (number: number, inside: boolean, routes: string[]) =>
    host(`vs${number}`, [link(OUTSIDE, number), ...(inside ? [link(INSIDE, number, 'eth1')] : [])], routes);
  const directors = (inside: boolean, routes: string[] = []) =>
    (pair ? [VS1, VS2] : [VS1]).map((number) => vs(number, inside, routes));
  const toFar = via(OUTSIDE, ROUTER, '192.168.2.0/24', 'fd00:0:0:2::/64');
  const shapes = {
    dr: () => [client(), ...directors(false), ...each((number, name) => host(name, [link(OUTSIDE, number)]))],
    nat: () => [
      client(),
      ...directors(true),
      ...each((number, name) => host(name, [link(INSIDE, number)], via(INSIDE, VS1))),
    ],
    tunnel: () => [
      client(toFar),
      ...directors(false, toFar),
      host(
        'router',
        [link(OUTSIDE, ROUTER), link(FAR, ROUTER, 'eth1')],
        [],
        ['net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1'],
      ),
      ...each((number, name) => host(name, [link(FAR, number)], via(FAR, ROUTER))),
    ],
    all: () => [
      client(),
      ...directors(true),
      ...each((number, name) =>
        host(
          name,
          [link(OUTSIDE, number), link(INSIDE, number, 'eth1')],
          [
            `route add default via 192.168.${INSIDE}.${VS1} table ${INSIDE_TABLE}`,
            `rule add from 192.168.${INSIDE}.${number} table ${INSIDE_TABLE}`,
          ],
        ),
      ),
    ],
    ecmp: () => [
      client(via(OUTSIDE, ROUTER)),
      host(
        'router',
        [link(OUTSIDE, ROUTER), link(INSIDE, ROUTER, 'eth1')],
        [],
        [
          'net.ipv4.ip_forward=1',
          // All five fields of a connection. Policy 1 uses the sender's hash, which veth keeps and retransmissions change.
          'net.ipv4.fib_multipath_hash_fields=0x37',
          'net.ipv4.fib_multipath_hash_policy=3',
          ...(ipv6
            ? [
                'net.ipv6.conf.all.forwarding=1',
                'net.ipv6.fib_multipath_hash_fields=0x37',
                'net.ipv6.fib_multipath_hash_policy=3',
              ]
            : []),
        ],
      ),
      ...Array.from({ length: BEHIND_ROUTER }, (_, i) =>
        host(`vs${i + 1}`, [link(INSIDE, VS_BEHIND_ROUTER + i)], via(INSIDE, ROUTER)),
      ),
      ...each((number, name) => host(name, [link(INSIDE, number)], via(INSIDE, ROUTER))),
    ],
  } satisfies Record<string, () => HostPlan[]>;
  const hosts = shapes[shape]();
  const used = new Set(hosts.flatMap(({ interfaces }) => interfaces.map(({ segment }) => segment)));
  return {
    segments: SEGMENTS.filter((segment) => used.has(segment)),
    hosts,
    // Behind a router, it is in no network of a segment.
    vip: shape === 'ecmp' ? '10.99.0.1' : '192.168.0.101',
    vip6: shape === 'ecmp' ? 'fd00:0:0:99::1' : 'fd00::101',
  };
}

/** The /etc/hosts of every host: a name stands for the first address. */
export function hostsFile({ hosts, vip, vip6 }: Topology): string {
  const lines = ['127.0.0.1 localhost', '::1 localhost', `${vip} vip`];
  const six = hosts.some(({ interfaces }) => interfaces[0]!.address6 !== undefined);
  if (six) lines.push(`${vip6} vip6`);
  for (const { name, interfaces } of hosts) {
    lines.push(`${interfaces[0]!.address} ${name}`);
    if (six) lines.push(`${interfaces[0]!.address6} ${name}-v6`);
  }
  return `${lines.join('\n')}\n`;
}

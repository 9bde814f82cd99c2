/** The JSON Schema of lvs.yaml, which validates files, completes them in editors, and defines the types. */
import type { FromSchema } from 'json-schema-to-ts';
import { NAME_PATTERN } from '../model/entity-name.ts';
import { DEFAULT_SETTINGS, FOUR_VALUED, type SettingName, SYNC_PORTS } from '../model/settings.ts';
import { SYNC_DEFAULTS } from '../model/sync-defaults.ts';
import { accessLists } from './access-list-schema.ts';
import { announce } from './announce-schema.ts';
import { check, consequences, destinationNotify, USER_PATTERN } from './check-schema.ts';
import { cluster, mode } from './cluster-schema.ts';
import { DEVICE, DEVICE_OR_ALIAS } from './device-names.ts';
import { DEFAULT_BULK_PORT } from './document.ts';
import { join, serviceJoin } from './join-schema.ts';
import { takeover } from './takeover-schema.ts';

const method = {
  enum: ['nat', 'dr', 'tunnel'],
  description: 'Forwarding method: nat (ipvsadm -m), dr (direct routing, -g) or tunnel (-i).',
} as const;
const weight = {
  type: 'integer',
  minimum: 0,
  maximum: 2_147_483_647,
  description:
    'Share of new connections; 0 quiesces: existing connections stay, new ones are not scheduled. Default 1.',
} as const;
const address = { type: 'string', minLength: 2, description: 'An IPv4 or IPv6 address.' } as const;
const name = {
  type: 'string',
  pattern: NAME_PATTERN,
  description:
    'A name of at most 63 letters, digits, ".", "_" and "-", with a letter, that begins with a letter or a digit. It names the object in the log, the status page, metrics and commands.',
} as const;
const seconds = { type: 'integer', minimum: 0, maximum: 2_678_400 } as const;
const absence = { type: 'integer', minimum: 5, maximum: 2_678_400 } as const;
const threshold = { type: 'integer', minimum: 0, maximum: 2_147_483_647 } as const;

const tunnel = {
  type: 'object',
  additionalProperties: false,
  description: 'Encapsulation of the tunnel method. Default: ipip.',
  properties: {
    type: {
      enum: ['ipip', 'gue', 'gre'],
      description: 'Encapsulation: IP in IP, GUE (UDP), or GRE.',
    },
    port: { type: 'integer', minimum: 1, maximum: 65_535, description: 'UDP port, for gue only.' },
    checksum: { enum: ['none', 'csum', 'remcsum'], description: 'Outer checksum; remcsum for gue only.' },
  },
  required: ['type'],
} as const;

const inherited = {
  scheduler: {
    type: 'string',
    description: 'rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh twos. Default wlc.',
  },
  flags: {
    type: 'array',
    items: { enum: ['sh-fallback', 'sh-port', 'mh-fallback', 'mh-port', 'flag-1', 'flag-2', 'flag-3'] },
    description: 'Flags of the scheduler (ipvsadm -b).',
  },
  persistent: {
    ...seconds,
    description: 'Seconds that a client stays with its server after its last connection has ended.',
  },
  'persistence-prefix': {
    type: 'integer',
    minimum: 1,
    maximum: 128,
    description: 'Leading bits of the address that identify a client. Default: all.',
  },
  'persistence-engine': {
    enum: ['sip'],
    description: 'Persistence by Call-ID instead of the client address.',
  },
  helper: {
    type: 'string',
    enum: ['ftp', 'none'],
    description:
      'Translates the addresses in FTP control connections with nat, and makes their data connections. Default: ftp for TCP and port 21, and for no other port.',
  },
  'one-packet': { type: 'boolean', description: 'Schedule each datagram separately (UDP and marks only).' },
  method,
  weight,
  tunnel,
  check,
  join: serviceJoin,
  ...consequences,
} as const;

const destination = {
  oneOf: [
    { type: 'string', description: 'server[:port]; an IPv6 address goes in brackets.' },
    {
      type: 'object',
      additionalProperties: false,
      properties: {
        server: { type: 'string', description: "server[:port]. Default port: the service's." },
        name,
        weight,
        method,
        'upper-threshold': {
          ...threshold,
          description: 'Connections at which the server is overloaded and gets no new ones; 0: never.',
        },
        'lower-threshold': { ...threshold, description: 'Connections below which the overload ends.' },
        tunnel,
        check,
        inhibit: consequences.inhibit,
        notify: destinationNotify,
      },
      required: ['server'],
    },
  ],
} as const;
const destinations = { type: 'array', items: destination } as const;
const destinationsOrGroup = {
  oneOf: [{ type: 'string', description: 'Name of a group.' }, destinations],
} as const;
const sorry = {
  ...destinationsOrGroup,
  description: 'Servers that are used while the quorum is lost. They have no check unless it is theirs.',
} as const;

const networkInterface = {
  type: 'object',
  additionalProperties: false,
  properties: {
    interface: { type: 'string', pattern: DEVICE, description: 'A device such as eth0.' },
    alias: { type: 'string', pattern: '^\\w{1,11}$', description: 'Label of the address: 101 in eth0:101.' },
    address,
    prefix: { type: 'integer', minimum: 0, maximum: 128, description: 'Prefix length of its network.' },
  },
  required: ['interface', 'address'],
} as const;

const virtualAddress = {
  ...networkInterface,
  properties: {
    ...networkInterface.properties,
    shared: {
      type: 'boolean',
      description:
        'true: several hosts have the address on purpose. It is neither announced nor probed, and no conflict is reported. Default false.',
    },
  },
} as const;

const endpoint = {
  type: 'string',
  minLength: 3,
  description:
    'address:port, or address:first-last for a range of ports; [address]:port for IPv6. Port 0: every port.',
} as const;

const service = {
  type: 'object',
  additionalProperties: false,
  description: 'A virtual service: exactly one of tcp, udp, sctp and mark.',
  properties: {
    tcp: endpoint,
    udp: endpoint,
    sctp: endpoint,
    mark: { type: 'integer', minimum: 1, maximum: 4_294_967_295, description: 'A firewall mark.' },
    family: { enum: [4, 6], description: 'With mark: the family of its packets. Default 4.' },
    name,
    ...inherited,
    sorry,
    ...accessLists,
    destinations: destinationsOrGroup,
  },
  required: ['destinations'],
  oneOf: [{ required: ['tcp'] }, { required: ['udp'] }, { required: ['sctp'] }, { required: ['mark'] }],
} as const;

const sync = {
  type: 'object',
  additionalProperties: false,
  description: 'Synchronization of connections with other directors (ipvsadm --start-daemon).',
  properties: {
    role: {
      enum: ['master', 'backup', 'both'],
      description: 'master sends connections, backup receives them. Default both.',
    },
    interface: {
      type: 'string',
      pattern: DEVICE,
      description: 'A device such as eth1, to which the other directors are connected.',
    },
    syncid: {
      type: 'integer',
      minimum: 0,
      maximum: 255,
      description: 'Number of the group of directors; a backup with 0 accepts every number. Default 0.',
    },
    group: { ...address, description: `Multicast group, of IPv4 or IPv6. Default ${SYNC_DEFAULTS.group}.` },
    port: {
      type: 'integer',
      minimum: 1,
      maximum: 65_535,
      description: `UDP port of the group. Default ${SYNC_DEFAULTS.port}.`,
    },
    ttl: {
      type: 'integer',
      minimum: 1,
      maximum: 255,
      description: `Time to live of messages. Default ${SYNC_DEFAULTS.ttl}.`,
    },
    'max-length': {
      type: 'integer',
      minimum: 1024,
      maximum: 65_487,
      description: 'Bytes of the longest message. Default: as the MTU of the interface allows.',
    },
    'key-file': {
      type: 'string',
      pattern: '^/[^\\0]+$',
      description: 'An absolute path of a file with the key that authenticates messages, mode 0600.',
    },
    peers: {
      type: 'array',
      items: address,
      maxItems: 16,
      description: 'Addresses of the directors, for bulk transfers; those of this host are recognized.',
    },
    'bulk-port': {
      type: 'integer',
      minimum: 1,
      maximum: 65_535,
      description: `TCP port of bulk transfers. Default ${DEFAULT_BULK_PORT}.`,
    },
  },
  required: ['interface'],
} as const;

const settingNames = Object.keys(DEFAULT_SETTINGS) as SettingName[];

export const schema = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'lvs.yaml: a Linux Virtual Server cluster',
  type: 'object',
  additionalProperties: false,
  properties: {
    mode,
    cluster,
    method,
    active: { type: 'boolean', description: 'false: a standby, with neither VIP nor rules. Default true.' },
    vips: { type: 'array', items: virtualAddress, description: 'Addresses of the director for services.' },
    director: {
      type: 'object',
      additionalProperties: false,
      properties: {
        inside: {
          ...networkInterface,
          description: "The director's address in the network of the real servers.",
        },
        gateway: { ...address, description: 'Default gateway of the director, for compile --format script.' },
      },
    },
    'real-servers': {
      type: 'object',
      additionalProperties: false,
      description: 'Configuration of every real server by the agent.',
      properties: {
        'vip-device': {
          type: 'string',
          pattern: DEVICE_OR_ALIAS,
          description:
            'A device such as lo, lo:0 or dummy0, which has the VIP with dr and tunnel. Default lo.',
        },
        'net-device': {
          type: 'string',
          pattern: DEVICE,
          description: 'A device such as eth0, in the network of the director.',
        },
        gateway: { type: 'string', description: "Default gateway; 'client': clients are on the segment." },
      },
    },
    settings: {
      type: 'object',
      propertyNames: { enum: settingNames },
      patternProperties: {
        [`^(${FOUR_VALUED.join('|')})$`]: { type: 'integer', minimum: 0, maximum: 3 },
        '^sync_version$': { enum: [0, 1] },
        '^sync_ports$': { enum: SYNC_PORTS },
      },
      additionalProperties: { type: 'integer', minimum: 0, maximum: 2_147_483_647 },
      description: `The kernel's net.ipv4.vs settings: ${settingNames.join(' ')}.`,
    },
    timeouts: {
      type: 'object',
      additionalProperties: false,
      description: 'Seconds, as in ipvsadm --set.',
      properties: {
        tcp: { ...seconds, description: 'Established TCP connections.' },
        'tcp-fin': { ...seconds, description: 'TCP connections after a FIN.' },
        udp: { ...seconds, description: 'UDP connections.' },
      },
    },
    marks: {
      type: 'array',
      description: 'Rules that set the firewall mark of packets; the first match wins.',
      items: {
        type: 'object',
        additionalProperties: false,
        properties: {
          mark: {
            type: 'integer',
            minimum: 1,
            maximum: 4_294_967_295,
            description: 'The firewall mark to set.',
          },
          to: { type: 'string', description: 'Destination address or prefix.' },
          from: { type: 'string', description: 'Source address or prefix.' },
          protocol: {
            enum: ['tcp', 'udp', 'sctp', 'icmp', 'icmpv6'],
            description: 'Default: every protocol.',
          },
          port: {
            description: 'Destination port, or a range of ports. Default: every port.',
            oneOf: [
              { type: 'integer', minimum: 1, maximum: 65_535 },
              { type: 'string', pattern: '^\\d{1,5}-\\d{1,5}$', description: 'first-last' },
            ],
          },
        },
        required: ['mark'],
      },
    },
    sync,
    join,
    announce,
    takeover,
    adopt: {
      enum: ['keep', 'replace'],
      description: 'Whether a reload keeps or replaces rules that were added with ipvsadm. Default keep.',
    },
    drain: {
      ...seconds,
      description:
        'Seconds after which a removed destination is removed despite its connections. Default 300.',
    },
    restart: {
      type: 'object',
      additionalProperties: false,
      description: 'What happens while no director runs. It needs a kernel path, see docs/restart.md.',
      properties: {
        keep: {
          type: 'boolean',
          description:
            'true: SIGTERM leaves the kernel path, the guard and the VIPs to the next director. Default false.',
        },
        orphan: {
          ...absence,
          description: 'Seconds without a director after which no new connection is admitted. Default 60.',
        },
        release: {
          ...absence,
          description:
            'Seconds without a director after which no packet is forwarded: all are left to the host. Default 600.',
        },
      },
    },
    'script-user': {
      type: 'string',
      pattern: USER_PATTERN,
      description: "A user, or user:group, that programs of notify run as. Default: the director's.",
    },
    ...accessLists,
    groups: {
      type: 'object',
      additionalProperties: destinations,
      description: 'Named lists of real servers that several services use.',
    },
    defaults: {
      type: 'object',
      additionalProperties: false,
      description: 'Defaults of services.',
      properties: { ...inherited, sorry },
    },
    services: {
      type: 'array',
      items: service,
      description: 'The virtual services. Required unless mode is nlb.',
    },
  },
} as const;

/** lvs.yaml before names are resolved and groups expanded. */
export type YamlFile = FromSchema<typeof schema>;

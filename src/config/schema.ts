/** The JSON Schema of lvs.yaml, which validates files, completes them in editors, and defines the types. */
import type { FromSchema } from 'json-schema-to-ts';
import { DEFAULT_SETTINGS, FOUR_VALUED, type SettingName, SYNC_PORTS } from '../model/settings.ts';
import { accessLists } from './access-list-schema.ts';
import { announce } from './announce-schema.ts';
import { USER_PATTERN } from './check-schema.ts';
import { cluster, mode } from './cluster-schema.ts';
import { DEVICE, DEVICE_OR_ALIAS } from './device-names.ts';
import { join } from './join-schema.ts';
import { destinations, inherited, method, service, sorry } from './service-schema.ts';
import { sync } from './sync-schema.ts';
import { takeover } from './takeover-schema.ts';
import { address, seconds } from './value-schemas.ts';

const absence = { type: 'integer', minimum: 5, maximum: 2_678_400 } as const;

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

/** The part of the schema of lvs.yaml that describes a cluster without a director. */
import { AFFINITIES, MAC_MODES, MAX_HOSTS, MAX_RULES, MAX_WEIGHT, RULE_HOSTS } from '../model/nlb.ts';
import { oneCheck } from './check-schema.ts';
import { DEVICE } from './device-names.ts';

const weight = {
  type: 'integer',
  minimum: 0,
  maximum: MAX_WEIGHT,
  description: 'Share of new connections; 0: none. Default 50.',
} as const;
const affinity = {
  enum: AFFINITIES,
  description:
    'Which connections one host accepts: those of an address and port (none), of an address (single), or of a network, /24 or /64 (network). Default single.',
} as const;
const stickiness = {
  type: 'integer',
  minimum: 0,
  maximum: 86_400,
  description:
    'Seconds after its last packet for which a client stays with its host when the shares change. Default 0: until its connections end.',
} as const;
const ports = {
  description: 'A port, or first-last.',
  oneOf: [
    { type: 'integer', minimum: 1, maximum: 65_535 },
    { type: 'string', pattern: '^\\d{1,5}-\\d{1,5}$', description: 'first-last' },
  ],
} as const;

const host = {
  type: 'object',
  additionalProperties: false,
  properties: {
    server: { type: 'string', minLength: 1, description: 'Name or address of the server.' },
    id: {
      type: 'integer',
      minimum: 1,
      maximum: MAX_HOSTS,
      description: 'Priority of the host; the lowest number is the default host.',
    },
    weight,
  },
  required: ['server', 'id'],
} as const;

const rule = {
  type: 'object',
  additionalProperties: false,
  description: 'A port rule: exactly one of tcp and udp.',
  properties: {
    tcp: ports,
    udp: ports,
    address: { type: 'string', minLength: 2, description: 'One of the addresses. Default: all of them.' },
    hosts: {
      enum: RULE_HOSTS,
      description:
        'multiple: all hosts share new connections by their weights; single: the first host of priorities that runs; disabled: packets are dropped. Default multiple.',
    },
    affinity,
    stickiness,
    check: {
      ...oneCheck,
      description:
        'How each host checks its own service; while it is down, the host takes no new connections of the rule.',
    },
    weights: { type: 'object', additionalProperties: weight, description: 'Weights by server.' },
    priorities: {
      type: 'array',
      items: { type: 'string' },
      description: 'single: servers, the preferred one first. Default: in the order of their ids.',
    },
  },
  oneOf: [{ required: ['tcp'] }, { required: ['udp'] }],
} as const;

export const mode = {
  enum: ['nlb'],
  description: 'nlb: the servers of the cluster share its addresses; there is no director.',
} as const;

export const cluster = {
  type: 'object',
  additionalProperties: false,
  description: 'Servers that share addresses (mode: nlb). Every server has the same file.',
  properties: {
    interface: { type: 'string', pattern: DEVICE, description: 'A device such as eth0, on all servers.' },
    addresses: {
      type: 'array',
      minItems: 1,
      maxItems: 8,
      items: { type: 'string', minLength: 2, description: 'An IPv4 or IPv6 address.' },
      description: 'Addresses that clients use.',
    },
    mac: {
      enum: MAC_MODES,
      description:
        'MAC address of the cluster: unicast (02:bf:...), multicast (03:bf:...) or igmp (01:00:5e:7f:...). Default unicast.',
    },
    heartbeat: {
      type: 'number',
      minimum: 0.05,
      maximum: 10,
      description: 'Seconds between heartbeats. Default 0.2.',
    },
    missed: {
      type: 'integer',
      minimum: 4,
      maximum: 50,
      description: 'Missed heartbeats after which a host is lost. Default 5.',
    },
    key: {
      type: 'string',
      minLength: 16,
      maxLength: 1024,
      description: 'Secret that authenticates heartbeats.',
    },
    'follow-load': {
      type: 'boolean',
      description: "true: a host's weights fall with the load of its machine, in steps. Default false.",
    },
    affinity,
    stickiness,
    hosts: { type: 'array', minItems: 1, maxItems: MAX_HOSTS, items: host, description: 'The servers.' },
    rules: {
      type: 'array',
      maxItems: MAX_RULES,
      items: rule,
      description: 'Port rules. The default host gets what none of them matches.',
    },
  },
  required: ['interface', 'addresses', 'key', 'hosts'],
} as const;

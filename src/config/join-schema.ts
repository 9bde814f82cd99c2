/** The parts of the JSON Schema of lvs.yaml about servers that join by themselves. */
import { DEVICE } from './device-names.ts';
import { DEFAULT_JOIN, DEFAULT_SERVICE_JOIN } from './document.ts';

/** Which servers may join a service. */
export const serviceJoin = {
  description:
    'true, or limits: servers may join this service by themselves, which needs the section join. Default false.',
  oneOf: [
    { type: 'boolean' },
    {
      type: 'object',
      additionalProperties: false,
      properties: {
        'max-servers': {
          type: 'integer',
          minimum: 1,
          maximum: 1000,
          description: `Servers that may join the service. Default ${DEFAULT_SERVICE_JOIN.maxServers}.`,
        },
        'max-weight': {
          type: 'integer',
          minimum: 1,
          maximum: 65_535,
          description: `Greatest weight of a server that joins; one that announces more has this. Default ${DEFAULT_SERVICE_JOIN.maxWeight}.`,
        },
        'slow-start': {
          type: 'integer',
          minimum: 0,
          maximum: 3600,
          description: `Seconds in which the weight of a server that joins grows; 0: at once. Default ${DEFAULT_SERVICE_JOIN.slowStart}.`,
        },
      },
    },
  ],
} as const;

/** Which servers may join, and how their heartbeats are received. */
export const join = {
  type: 'object',
  additionalProperties: false,
  description:
    'Servers join services by heartbeats to a multicast group, which needs interface and key-file, or by etcd: see docs/join.md.',
  properties: {
    interface: {
      type: 'string',
      pattern: DEVICE,
      description:
        'A device of the director such as eth1, in the network of the real servers. Missing: no heartbeats.',
    },
    'key-file': {
      type: 'string',
      pattern: '^/[^\\0]+$',
      description: 'An absolute path of a file with the key that authenticates heartbeats, mode 0600.',
    },
    group: {
      type: 'string',
      minLength: 2,
      description: `Multicast group, of IPv4 or IPv6. Default ${DEFAULT_JOIN.group}.`,
    },
    port: {
      type: 'integer',
      minimum: 1,
      maximum: 65_535,
      description: `UDP port of the group. Default ${DEFAULT_JOIN.port}.`,
    },
    heartbeat: {
      type: 'number',
      minimum: 0.2,
      maximum: 10,
      description: `Seconds between two heartbeats of a server. Default ${DEFAULT_JOIN.period / 1000}.`,
    },
    timeout: {
      type: 'number',
      minimum: 1,
      maximum: 300,
      description: `Seconds without a heartbeat after which a server gets no new connections. Default ${DEFAULT_JOIN.timeout / 1000}.`,
    },
    networks: {
      type: 'array',
      minItems: 1,
      maxItems: 1000,
      items: { type: 'string', minLength: 2, description: 'A prefix such as 10.0.0.0/24.' },
      description:
        'Networks with the addresses of servers that may join. Default: those of the interface; needed without one.',
    },
    'max-servers': {
      type: 'integer',
      minimum: 1,
      maximum: 1000,
      description: `Servers that may join, in all services. Default ${DEFAULT_JOIN.maxServers}.`,
    },
  },
} as const;

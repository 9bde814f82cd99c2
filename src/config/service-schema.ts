/** The parts of the JSON Schema of lvs.yaml about virtual services and their real servers. */
import { NAME_PATTERN } from '../model/entity-name.ts';
import { accessLists } from './access-list-schema.ts';
import { check, consequences, destinationNotify } from './check-schema.ts';
import { serviceJoin } from './join-schema.ts';
import { seconds } from './value-schemas.ts';

export const method = {
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
const name = {
  type: 'string',
  pattern: NAME_PATTERN,
  description:
    'A name of at most 63 letters, digits, ".", "_" and "-", with a letter, that begins with a letter or a digit. It names the object in the log, the status page, metrics and commands.',
} as const;
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

/** What services have themselves, or from `defaults`. */
export const inherited = {
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
export const destinations = { type: 'array', items: destination } as const;
const destinationsOrGroup = {
  oneOf: [{ type: 'string', description: 'Name of a group.' }, destinations],
} as const;
export const sorry = {
  ...destinationsOrGroup,
  description: 'Servers that are used while the quorum is lost. They have no check unless it is theirs.',
} as const;

const endpoint = {
  type: 'string',
  minLength: 3,
  description:
    'address:port, or address:first-last for a range of ports; [address]:port for IPv6. Port 0: every port.',
} as const;

export const service = {
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

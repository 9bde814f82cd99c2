/** The JSON Schema of the checks of lvs.yaml, and of what follows from them. */
import { CHECK_TYPES, RECORD_TYPES } from '../model/check.ts';
import { NOTIFY_EVENTS } from '../model/notify.ts';

const status = {
  oneOf: [
    { type: 'integer', minimum: 100, maximum: 599 },
    { type: 'string', pattern: '^[1-5]\\d\\d-[1-5]\\d\\d$', description: 'first-last' },
  ],
} as const;

const MAX_REDIRECTS = 10;
/** Checks of one destination. */
export const MAX_CHECKS = 32;
/** `user` or `user:group`. */
export const USER_PATTERN = '^[A-Za-z_][A-Za-z0-9_.-]{0,31}(:[A-Za-z_][A-Za-z0-9_.-]{0,31})?$';

const someCheck = {
  type: 'object',
  additionalProperties: false,
  properties: {
    type: {
      enum: CHECK_TYPES,
      description:
        'Kind of check: a connection, a request (over TLS), a datagram, a DNS query, the greeting of a mail server, an ICMP echo, a program, or an agent-check of HAProxy.',
    },
    port: { type: 'integer', minimum: 1, maximum: 65_535, description: "Default: the destination's." },
    interval: {
      type: 'number',
      minimum: 0.1,
      maximum: 3600,
      description: 'Seconds between checks. Default 5.',
    },
    'retry-interval': {
      type: 'number',
      minimum: 0.1,
      maximum: 3600,
      description: 'Seconds until the next check after a failure of a server that is up. Default: interval.',
    },
    timeout: {
      type: 'number',
      minimum: 0.1,
      maximum: 600,
      description: 'Seconds to wait for a response. Default 3.',
    },
    fall: {
      type: 'integer',
      minimum: 1,
      maximum: 100,
      description: 'Consecutive failures after which the server is quiesced. Default 2.',
    },
    rise: {
      type: 'integer',
      minimum: 1,
      maximum: 100,
      description: 'Consecutive successes after which the server is restored. Default 2.',
    },
    path: {
      type: 'string',
      pattern: '^/[!-~]*$',
      description: 'A path such as /alive, without blanks, that http and https request. Default /.',
    },
    host: {
      type: 'string',
      pattern: '^[!-~]+$',
      description:
        "http, https: the Host header; $ADDRESS and $PORT are the real server's. Default: the service's address.",
    },
    status: {
      oneOf: [status, { type: 'array', items: status, minItems: 1 }],
      description:
        'http, https: the healthy statuses, such as 200, 200-299 or [200-299, 404]. Default: 200-399.',
    },
    redirects: {
      type: 'integer',
      minimum: 0,
      maximum: MAX_REDIRECTS,
      description: 'http, https: number of redirects to follow, at the same server. Default 0.',
    },
    sni: {
      type: 'string',
      pattern: '^[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}$',
      description: 'A host name, which https requests in the TLS handshake. Default: the name in host.',
    },
    verify: {
      type: 'boolean',
      description: 'https: whether the certificate must be valid for that name. Default true.',
    },
    query: {
      type: 'string',
      pattern: '^(\\.|[A-Za-z0-9_][A-Za-z0-9_.-]{0,252})$',
      description: 'A domain name, which dns queries. Default: the root.',
    },
    record: { enum: RECORD_TYPES, description: 'dns: type of the record. Default SOA.' },
    helo: {
      type: 'string',
      pattern: '^[!-~]{1,255}$',
      description: "A host name, by which smtp introduces itself. Default: this host's name.",
    },
    send: { type: 'string', description: 'udp: the datagram to send.' },
    expect: { type: 'string', description: 'http, https, udp, dns: text that the response must contain.' },
    match: {
      type: 'string',
      minLength: 1,
      description:
        'http, https, dns: regular expression (JavaScript) that the body or a record must match; a leading (?i) ignores case.',
    },
    command: {
      type: 'array',
      items: { type: 'string' },
      minItems: 1,
      description:
        'command: program and arguments; exit status 0 means healthy. $ADDRESS and $PORT are replaced, and set in the environment.',
    },
    digest: {
      type: 'string',
      pattern: '^[0-9a-fA-F]{32}$',
      description:
        '32 hexadecimal digits. http, https: MD5 that the whole body must have, as genhash prints it.',
    },
    user: {
      type: 'string',
      pattern: USER_PATTERN,
      description:
        "A user, or user:group, by names. command: it runs as this user. Default: the director's user.",
    },
    dynamic: {
      type: 'boolean',
      description:
        'command: whether exit status 2 to 255 means healthy, with a weight of status - 2. Default false.',
    },
    'max-step': {
      type: 'integer',
      minimum: 1,
      maximum: 100,
      description: 'agent: largest change of the weight, in percent, by one response. Default 20.',
    },
    'slow-start': {
      type: 'integer',
      minimum: 0,
      maximum: 2_678_400,
      description: 'Seconds in which the weight of a restored server rises to its full value. Default 0.',
    },
  },
  required: ['type'],
} as const;

const none = {
  type: 'string',
  pattern: '^none$',
  description: 'A check such as { type: tcp }, or none for servers that are not checked.',
} as const;

/** A check, or none. */
export const oneCheck = { oneOf: [none, someCheck] } as const;

/** A check, several, or none. */
export const check = {
  description:
    'Health check of the destinations, or a list of checks, which must all pass. A server that fails is quiesced, and restored when it passes again.',
  oneOf: [none, someCheck, { type: 'array', items: someCheck, minItems: 1, maxItems: MAX_CHECKS }],
} as const;

/** The keys of a check, with their bounds. */
export const CHECK_KEYS = someCheck.properties;

const program = { type: 'array', items: { type: 'string' }, minItems: 1 } as const;

const notify = {
  type: 'object',
  additionalProperties: false,
  description: `Programs that are run when health changes, each a list of words, by event: ${NOTIFY_EVENTS.join(' ')}. The environment has the facts.`,
  properties: {
    'destination-up': program,
    'destination-down': program,
    'service-up': program,
    'service-down': program,
    'quorum-up': program,
    'quorum-down': program,
  },
} as const;

/** Programs for events of one destination. */
export const destinationNotify = {
  ...notify,
  description: 'Programs for changes of this server, instead of those of its service.',
  properties: { 'destination-up': program, 'destination-down': program },
} as const;

/** What follows from checks: keys of a service. */
export const consequences = {
  quorum: {
    type: 'integer',
    minimum: 1,
    maximum: 2_147_483_647,
    description:
      'Sum of the weights of servers that are up, below which sorry servers are used. Default 1: any server.',
  },
  hysteresis: {
    type: 'integer',
    minimum: 0,
    maximum: 2_147_483_647,
    description:
      'Distance from the quorum: it is lost below quorum - hysteresis, gained at quorum + hysteresis. Default 0.',
  },
  inhibit: {
    type: 'boolean',
    description:
      'true: a server that is out of service stays in the rules with weight 0, and keeps its connections; false: it is removed. Default true, and false for sorry servers.',
  },
  notify,
} as const;

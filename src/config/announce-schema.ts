/** The part of the JSON Schema of lvs.yaml about announcements of VIPs to routers. */
import { NAME_PATTERN } from '../model/entity-name.ts';
import { DEFAULT_BIRD, DEFAULT_RISE } from './document.ts';

/** Absolute paths, with characters that need no quotes in bird.conf and in a shell. */
const PATH_PATTERN = '^(/[A-Za-z0-9._-]+)+$';

const addresses = {
  type: 'array',
  minItems: 1,
  maxItems: 10_000,
  items: { type: 'string', minLength: 2, description: 'An IPv4 or IPv6 address.' },
} as const;

/** Greatest number of groups, and of directors that announce one. */
const MAX_GROUPS = 64;
const MAX_ACTIVE = 64;

export const announce = {
  type: 'object',
  additionalProperties: false,
  description:
    'Announcement of the VIPs to routers while this director is ready for them: see docs/scale.md. An empty object is for ExaBGP.',
  properties: {
    vips: {
      ...addresses,
      description: 'The addresses to announce. Default: those of all services.',
    },
    groups: {
      type: 'array',
      minItems: 1,
      maxItems: MAX_GROUPS,
      description:
        'VIPs that a limited number of the directors of a cluster announce: the others are spares (docs/cluster.md). Every director announces a VIP of no group.',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['name', 'active'],
        properties: {
          name: {
            type: 'string',
            pattern: NAME_PATTERN,
            description:
              'A name of at most 63 letters, digits, ".", "_" and "-", with a letter, that begins with a letter or a digit.',
          },
          vips: {
            ...addresses,
            description: 'The VIPs of the group. Default: those of no other group. One group may omit it.',
          },
          active: {
            type: 'integer',
            minimum: 1,
            maximum: MAX_ACTIVE,
            description: 'Number of directors that announce the VIPs of the group.',
          },
        },
      },
    },
    rise: {
      type: 'integer',
      minimum: 0,
      maximum: 3600,
      description: `Seconds for which a VIP must be ready before it is announced. It is withdrawn at once. Default ${DEFAULT_RISE}.`,
    },
    bird: {
      type: 'object',
      additionalProperties: false,
      description: 'BIRD 2 on this host announces the VIPs. {} for the defaults.',
      properties: {
        socket: {
          type: 'string',
          pattern: PATH_PATTERN,
          description: `Control socket of BIRD. Default ${DEFAULT_BIRD.socket}.`,
        },
        file: {
          type: 'string',
          pattern: PATH_PATTERN,
          description: `File that the director writes and bird.conf includes. Default ${DEFAULT_BIRD.file}.`,
        },
      },
    },
  },
} as const;

/** The part of the JSON Schema of lvs.yaml about announcements of VIPs to routers. */
import { DEFAULT_BIRD, DEFAULT_RISE } from './document.ts';

/** Absolute paths, with characters that need no quotes in bird.conf and in a shell. */
const PATH_PATTERN = '^(/[A-Za-z0-9._-]+)+$';

export const announce = {
  type: 'object',
  additionalProperties: false,
  description:
    'Announcement of the VIPs to routers while this director is ready for them: see docs/scale.md. An empty object is for ExaBGP.',
  properties: {
    vips: {
      type: 'array',
      minItems: 1,
      maxItems: 10_000,
      items: { type: 'string', minLength: 2, description: 'An IPv4 or IPv6 address.' },
      description: 'The addresses to announce. Default: those of all services.',
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

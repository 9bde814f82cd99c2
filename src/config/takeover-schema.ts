/** The part of the JSON Schema of lvs.yaml about connections that other directors have scheduled. */
import { DEFAULT_TAKEOVER } from './document.ts';

export const takeover = {
  type: 'object',
  additionalProperties: false,
  description:
    'Directors that take over connections of each other without synchronization (sloppy_tcp and mh): see docs/scale.md.',
  properties: {
    history: {
      type: 'integer',
      minimum: 0,
      maximum: 86_400,
      description: `Seconds after a change of the servers for which the list before it selects the server of an unknown connection, under mh; 0: never. Default ${DEFAULT_TAKEOVER.history}.`,
    },
    share: {
      type: 'integer',
      minimum: 1,
      maximum: 100,
      description: `Percent of the connection table up to which unknown connections are taken over. Default ${DEFAULT_TAKEOVER.share}.`,
    },
  },
} as const;

/** The part of the JSON Schema of lvs.yaml about the synchronization of connections. */
import { SYNC_DEFAULTS } from '../model/sync-defaults.ts';
import { DEVICE } from './device-names.ts';
import { DEFAULT_BULK_PORT } from './document.ts';
import { address } from './value-schemas.ts';

export const sync = {
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

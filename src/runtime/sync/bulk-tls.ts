/** TLS with pre-shared keys for bulk transfers: node:tls, TLS 1.2, with forward secrecy. */
import { constants } from 'node:crypto';
import type { ConnectionOptions, TlsOptions } from 'node:tls';
import type { SyncKey } from '../../sync/sync-keys.ts';

const COMMON = {
  ciphers: 'ECDHE-PSK-CHACHA20-POLY1305',
  // node:tls takes pre-shared keys of TLS 1.2 alone.
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.2',
  // A session that is resumed would not need the key, which may have been removed since.
  secureOptions: constants.SSL_OP_NO_TICKET,
} as const;

/** Options of a server that accepts these keys. */
export const serverOptions = (keys: () => readonly SyncKey[], handshakeTimeout: number): TlsOptions => ({
  ...COMMON,
  handshakeTimeout,
  pskCallback: (_socket, identity) => keys().find((key) => key.identity === identity)?.bulk ?? null,
});

/** Options of a client with this key: the server proves that it has the key, too. */
export const clientOptions = ({ bulk, identity }: SyncKey): ConnectionOptions => ({
  ...COMMON,
  pskCallback: () => ({ psk: bulk, identity }),
  checkServerIdentity: () => undefined,
});

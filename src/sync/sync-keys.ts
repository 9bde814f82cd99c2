/** Keys of synchronization: a secret of the key file yields one key for messages and one for bulk transfers. */
import { derived } from '../wire/message-tag.ts';

const KEY_BYTES = 32;
const ID_BYTES = 8;

export interface SyncKey {
  /** Key of the HMAC of messages. */
  readonly message: Uint8Array;
  /** Pre-shared key of bulk transfers. */
  readonly bulk: Uint8Array;
  /** Identity of the pre-shared key. It reveals nothing about the secret. */
  readonly identity: string;
}

/** Derives the keys of a secret (HKDF-SHA256, RFC 5869). */
export function deriveKey(secret: Uint8Array): SyncKey {
  const derive = (purpose: string, bytes: number) => derived(secret, `lvs-sync ${purpose}`, bytes);
  return {
    message: derive('message', KEY_BYTES),
    bulk: derive('bulk', KEY_BYTES),
    identity: Buffer.from(derive('identity', ID_BYTES)).toString('hex'),
  };
}

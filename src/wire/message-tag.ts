/** Authenticates datagrams by a tag at their end: the first 16 bytes of HMAC-SHA256 (RFC 2104, RFC 4868 section 2.1.2). */
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';

export const TAG_BYTES = 16;

export type Key = Uint8Array | string;

/** Returns the tag of a message. */
export const tagOf = (key: Key, message: Uint8Array): Buffer =>
  createHmac('sha256', key).update(message).digest().subarray(0, TAG_BYTES);

/** Reports whether one of the keys made the last 16 bytes of a message of 16 bytes at least, for those before. */
export function isTagged(keys: readonly Key[], message: Uint8Array): boolean {
  const end = message.length - TAG_BYTES;
  const [signed, tag] = [message.subarray(0, end), message.subarray(end)];
  return keys.some((key) => timingSafeEqual(tagOf(key, signed), tag));
}

const NO_SALT = new Uint8Array();

/** Derives a key for one purpose from a secret (HKDF-SHA256, RFC 5869). */
export const derived = (secret: Uint8Array, purpose: string, bytes: number): Uint8Array =>
  new Uint8Array(hkdfSync('sha256', secret, NO_SALT, purpose, bytes));

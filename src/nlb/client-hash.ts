/** The place of a client in a port rule, as the filter's program computes it. */
import type { Affinity } from '../model/nlb.ts';
import { type Address, isV4 } from '../wire/address.ts';

export const WORD_FACTOR = 0x9e3779b1 | 0;
export const WORD_SHIFT = 15;
export const LAST_FACTOR = 0x85ebca6b | 0;
export const LAST_SHIFT = 13;
/** Bits of the hash that are no part of the place: the upper 16 remain. */
export const PLACE_SHIFT = 16;

/** Bytes of the address that identify a network, IPv4: /24, IPv6: /64. */
export const NETWORK_BYTES = { 4: 3, 6: 8 } as const;

/** Returns the place, 0 to 65,535. `seed`: the same on all hosts; `port` counts for the affinity none. */
export function placeOf(affinity: Affinity, client: Address, port: number, seed: number): number {
  const bytes = new DataView(new ArrayBuffer(16));
  const family = isV4(client) ? 4 : 6;
  const words = family === 4 ? [client[3]!] : [...client];
  for (const [i, word] of words.entries()) bytes.setUint32(4 * i, word);
  if (affinity === 'network')
    for (let i = NETWORK_BYTES[family]; i < 4 * words.length; i++) bytes.setUint8(i, 0);
  let hash = seed | 0;
  const take = (word: number) => {
    hash = Math.imul(hash ^ word, WORD_FACTOR);
    hash ^= hash >>> WORD_SHIFT;
  };
  for (const i of words.keys()) take(bytes.getInt32(4 * i, true));
  if (affinity === 'none') take(((port & 0xff) << 8) | (port >>> 8));
  hash = Math.imul(hash, LAST_FACTOR);
  hash ^= hash >>> LAST_SHIFT;
  return hash >>> PLACE_SHIFT;
}

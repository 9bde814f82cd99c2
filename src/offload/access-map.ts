/**
 * The map of deny and allow lists. Programs look up new connections' clients in it, after `lists` of the settings or of the
 * service states that there is an entry of a deny list.
 */
import type { Bpf } from '../ebpf/bpf.ts';
import { BpfMap } from '../ebpf/map.ts';
import type { ListKind } from '../model/access-list.ts';
import { isIpv4Prefix, type Prefix } from '../wire/prefix.ts';

/* Key: length of the prefix in bits (4 bytes), list (4), address in packet order; IPv4 as ::ffff:a.b.c.d. */
export const ACCESS_KEY_BYTES = 24;
export const ACCESS_LIST = 4;
export const ACCESS_ADDRESS = 8;
/** Bits of the list, before those of the address, and of both. */
const LIST_BITS = 32;
export const ACCESS_BITS = 160;
/** Nothing is read of the value. */
const ACCESS_VALUE_BYTES = 4;

/** Entries of all lists. Memory is taken for those that are in use, about 100 bytes each. */
const MAX_ENTRIES = 1 << 20;

/** Bits of the list beside the service's number, which is 0 for all services. */
export const ACCESS_ALLOW = 1 << 16;
export const ACCESS_IPV6 = 1 << 17;

/** Creates the map. Throws SystemCallError. */
export const accessMap = (bpf: Bpf): BpfMap =>
  new BpfMap(bpf, {
    type: 'lpmTrie',
    name: 'lvs_access',
    keySize: ACCESS_KEY_BYTES,
    valueSize: ACCESS_VALUE_BYTES,
    entries: MAX_ENTRIES,
  });

export const ACCESS_VALUE = new Uint8Array(ACCESS_VALUE_BYTES);

/** Returns the key of an entry. `service`: the number of the service's record; 0: all services. */
export function accessKey(list: ListKind, service: number, prefix: Prefix): Uint8Array {
  const key = new DataView(new ArrayBuffer(ACCESS_KEY_BYTES));
  key.setUint32(0, LIST_BITS + prefix.bits, true);
  const flags = (list === 'allow' ? ACCESS_ALLOW : 0) | (isIpv4Prefix(prefix) ? 0 : ACCESS_IPV6);
  key.setUint32(ACCESS_LIST, service | flags, true);
  for (const [i, word] of prefix.address.entries()) key.setUint32(ACCESS_ADDRESS + 4 * i, word);
  return new Uint8Array(key.buffer);
}

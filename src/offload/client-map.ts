/**
 * The map of clients: by the longest prefix that matches, the interface that packets of such a client come by, and the next
 * hop of replies. A client that it does not have goes up to the director, as does one that comes by another interface: its
 * address may not be its own (rp_filter).
 */
import type { Bpf } from '../ebpf/bpf.ts';
import { BpfMap } from '../ebpf/map.ts';
import type { Address } from '../wire/address.ts';

/* Key: length of the prefix in bits (4 bytes), address in packet order; IPv4 as ::ffff:a.b.c.d. */
export const CLIENT_KEY_BYTES = 20;
export const CLIENT_ADDRESS = 4;
/* Value: index of the interface (4 bytes), number of the next hop's record (4 bytes; 0: not known). */
const CLIENT_VALUE_BYTES = 8;
export const CLIENT_INTERFACE = 0;
export const CLIENT_NEXT_HOP = 4;

/** Prefixes and neighbors together. Memory is taken for those that are in use. */
export const MAX_CLIENTS = 65_536;

/** Creates the map. Throws SystemCallError. */
export const clientMap = (bpf: Bpf): BpfMap =>
  new BpfMap(bpf, {
    type: 'lpmTrie',
    name: 'lvs_clients',
    keySize: CLIENT_KEY_BYTES,
    valueSize: CLIENT_VALUE_BYTES,
    entries: MAX_CLIENTS,
  });

/** Returns the key of a prefix; `bits`: of 128. */
export function clientKey(address: Address, bits: number): Uint8Array {
  const key = new DataView(new ArrayBuffer(CLIENT_KEY_BYTES));
  key.setUint32(0, bits, true);
  for (const [i, word] of address.entries()) key.setUint32(CLIENT_ADDRESS + 4 * i, word);
  return new Uint8Array(key.buffer);
}

/** Returns the value of a prefix. */
export function clientValue(interfaceIndex: number, nextHop: number): Uint8Array {
  const value = new DataView(new ArrayBuffer(CLIENT_VALUE_BYTES));
  value.setUint32(CLIENT_INTERFACE, interfaceIndex, true);
  value.setUint32(CLIENT_NEXT_HOP, nextHop, true);
  return new Uint8Array(value.buffer);
}

/** Sorts listings like ipvsadm: the C library's merge sort, with 32-bit differences that may overflow. */
import { PROTOCOL_NUMBERS } from '../model/naming.ts';
import type { DestinationSnapshot, ServiceSnapshot } from '../model/snapshot.ts';
import { type Address, isV4, parseAddress } from '../wire/address.ts';

/** Compared first to last; differences wrap at 32 bits. */
type Key = readonly number[];

/** Returns the services sorted by mark, family, protocol, address and port. */
export const sortServices = (services: readonly ServiceSnapshot[]): readonly ServiceSnapshot[] =>
  sorted(services, serviceKey, compareKeys);

/**
 * Returns the destinations sorted by address and port; those of two families are compared by the family of
 * the first.
 */
export const sortDestinations = (
  destinations: readonly DestinationSnapshot[],
): readonly DestinationSnapshot[] => sorted(destinations, destinationKey, compareDestinations);

function serviceKey({ service }: ServiceSnapshot): Key {
  if ('mark' in service) return [service.mark, service.family, 0, 0, 0, 0, 0, 0];
  const address = parseAddress(service.address)!;
  return [0, isV4(address) ? 4 : 6, PROTOCOL_NUMBERS[service.protocol], ...wordsOf(address), service.port];
}

/** Returns the address as in the kernel's union of both families: IPv4 in the first word. */
const wordsOf = (address: Address): Key => (isV4(address) ? [address[3]!, 0, 0, 0] : [...address]);

function destinationKey({ address, port }: DestinationSnapshot): Key {
  const parsed = parseAddress(address)!;
  return [isV4(parsed) ? 4 : 6, ...wordsOf(parsed), port];
}

function compareKeys(a: Key, b: Key): number {
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i]! - b[i]!) | 0;
    if (difference !== 0) return difference;
  }
  return 0;
}

function compareDestinations(a: Key, b: Key): number {
  const words = a[0] === 4 ? 1 : 4;
  for (let i = 1; i <= words; i++) {
    const difference = (a[i]! - b[i]!) | 0;
    if (difference !== 0) return difference;
  }
  return a[5]! - b[5]!;
}

function sorted<T>(items: readonly T[], keyOf: (item: T) => Key, compare: (a: Key, b: Key) => number): T[] {
  const keyed = items.map((item) => ({ item, key: keyOf(item) }));
  const sort = (part: typeof keyed): typeof keyed => {
    if (part.length < 2) return part;
    const middle = part.length >> 1;
    const left = sort(part.slice(0, middle));
    const right = sort(part.slice(middle));
    const merged: typeof keyed = [];
    for (let l = 0, r = 0; l < left.length || r < right.length; ) {
      const takeLeft = r >= right.length || (l < left.length && compare(left[l]!.key, right[r]!.key) <= 0);
      merged.push(takeLeft ? left[l++]! : right[r++]!);
    }
    return merged;
  };
  return sort(keyed).map(({ item }) => item);
}

/** What a host enters into the options of IPv4 headers. */
import type { Address } from '../wire/address.ts';
import type { Station } from '../wire/ipv4-options.ts';
import type { Host } from './method.ts';

/** Stands for a time of day that is unknown (RFC 791 section 3.1). */
export const UNKNOWN_TIME = 0x8000_0000;

/** Returns what `host` enters as `address`, towards the packet's sender as `inside`. */
export const stationAt = (address: Address, host: Host, inside = address): Station => ({
  address,
  inside,
  time: host.timeOfDay?.() ?? UNKNOWN_TIME,
  isLocal: (other) => host.isLocal(other),
});

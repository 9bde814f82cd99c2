/** Counters of a service, of a destination, and of the director. */

/**
 * Indexes of `Counters`. Typed arrays, because a number property above 2^31 allocates at each
 * change.
 */
export const CONNECTIONS = 0;
export const IN_PACKETS = 1;
export const OUT_PACKETS = 2;
export const IN_OCTETS = 3;
export const OUT_OCTETS = 4;

/** Five totals since the start or the last reset: in is from clients, out is to clients. */
export type Counters = Float64Array<ArrayBuffer>;

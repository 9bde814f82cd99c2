/** What is counted for a service, a destination, and the director as a whole. */

/** Places in `Counters` and `Rates`: a typed array, because a number property past 2^31 makes garbage at each change. */
export const CONNECTIONS = 0;
export const IN_PACKETS = 1;
export const OUT_PACKETS = 2;
export const IN_OCTETS = 3;
export const OUT_OCTETS = 4;

/** Five totals since the start or the last zeroing: in is from clients, out is to clients. */
export type Counters = Float64Array<ArrayBuffer>;

/** The same five per second, as the estimator last had them. */
export type Rates = Float64Array<ArrayBuffer>;

export const newCounters = (): Counters => new Float64Array(5);

/** Returns the time of the system (CLOCK_MONOTONIC), which all processes share, ms. */
export const systemTime = (): number => Number(process.hrtime.bigint() / 1_000_000n);

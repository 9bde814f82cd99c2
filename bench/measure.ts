/** Measures functions: the median of several rounds, after a round in which the code is optimized. */

/** One line of the result. */
export interface Figure {
  /** What was measured, `area: what`. */
  readonly name: string;
  /** Number of connections in the table; missing: no table is used. */
  readonly connections?: number;
  /** The median round. */
  readonly value: number;
  /** The fastest round: the cost without other load on the machine's memory. Missing: one round. */
  readonly best?: number;
  readonly unit:
    | 'ns'
    | 'ms'
    | 'bytes'
    | 'collections'
    | 'rows'
    | 'requests/s'
    | 'packets'
    | 'packets/s'
    | '%';
}

/** The extent of a measurement. */
export interface Effort {
  /** Smaller tables, fewer calls and rounds: shows that the benchmarks work; the figures are imprecise. */
  readonly quick: boolean;
}

export interface Rounds {
  readonly value: number;
  readonly best: number;
  readonly unit: 'ns';
}

/** Returns the table sizes of docs/performance.md: powers of two, as `shuffled` requires. */
export const tableSizes = (effort: Effort): readonly number[] =>
  effort.quick ? [1, 65_536] : [1, 65_536, 1_048_576];

/**
 * Returns the processor time per call, which other programs influence little. `run` makes `calls` calls, beginning with
 * number `from`. `between` restores the state after each round, and is not measured.
 */
export function nanoseconds(
  effort: Effort,
  calls: number,
  run: (calls: number, from: number) => void,
  between: () => void = () => {},
): Rounds {
  const rounds = effort.quick ? 3 : 7;
  const perRound = effort.quick ? Math.ceil(calls / 8) : calls;
  const times: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const begin = process.cpuUsage();
    run(perRound, round * perRound);
    const { user, system } = process.cpuUsage(begin);
    if (round > 0) times.push(((user + system) * 1e3) / perRound);
    between();
  }
  times.sort((a, b) => a - b);
  return { value: times[rounds >> 1]!, best: times[0]!, unit: 'ns' };
}

/** Returns the i-th of a fixed shuffle of 0..size-1, size a power of two: a walk that no prefetcher follows. */
export const shuffled = (i: number, size: number): number => Math.imul(i, 0x9e3779b1) & (size - 1);

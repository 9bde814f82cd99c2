/** How benches measure: the median of several rounds, after one that lets the code be optimized. */

/** One line of the result. */
export interface Figure {
  /** What was measured, `area: what`. */
  readonly name: string;
  /** Connections in the table meanwhile; missing where there is no table. */
  readonly connections?: number;
  /** The median round. */
  readonly value: number;
  /** The quickest round, where rounds were made: what it costs when nothing else wants the machine's memory. */
  readonly best?: number;
  readonly unit: 'ns' | 'ms' | 'octets' | 'collections' | 'rows';
}

export interface Effort {
  /** Smaller tables, fewer calls and rounds: tells that the benches work; the figures are rough. */
  readonly quick: boolean;
}

export interface Rounds {
  readonly value: number;
  readonly best: number;
  readonly unit: 'ns';
}

/** Sizes of table that the project's promises are about; powers of two, so that `shuffled` needs no memory. */
export const tableSizes = (effort: Effort): readonly number[] =>
  effort.quick ? [1, 65_536] : [1, 65_536, 1_048_576];

/**
 * ns of processor time a call, so that other programs count as little as can be: `run` makes as many calls as it is told, from the `from`-th on. `between` puts things right after a round
 * and is not timed.
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

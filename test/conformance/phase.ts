/** When the recorded kernel's estimator ticked is not recorded: finds a phase of its ticks that explains the counters. */

export interface Failure {
  readonly step: number;
  readonly text: string;
  readonly what: string;
}

/** ms after a recording's begin at which the first tick of most is. */
const USUAL = 1520;
/** ms between phases that are tried: the width of a slot of the recorded kernel's timer wheel. */
const STEP = 80;
/** Halvings between two neighboring values: a batch has some packets a ms, and a tick falls between two of them. */
const HALVINGS = 14;
const SHOWS_ESTIMATOR = /--stats|--rate|ip_vs_stats/;

/** The failures with the phase, in [0, period) ms, that explains most; `attempt` plays with one. */
export async function fittingPhase(
  period: number,
  attempt: (phase: number) => Promise<Failure[]>,
): Promise<Failure[]> {
  let best = await attempt(USUAL % period);
  let before = best;
  for (let i = 1; i * STEP <= period && isOfEstimator(best); i++) {
    const from = (USUAL + (i - 1) * STEP) % period;
    const after = await attempt((from + STEP) % period);
    best = better(best, after);
    if (isOfEstimator(best) && isBetween(before, after)) {
      const within = await halve(from, STEP, before, (phase) => attempt(phase % period));
      best = better(best, within);
    }
    before = after;
  }
  return best;
}

const isOfEstimator = (failures: readonly Failure[]): boolean =>
  failures.some(({ text }) => SHOWS_ESTIMATOR.test(text));

/** None is best; then those that begin later; then fewer. */
const better = (a: Failure[], b: Failure[]): Failure[] =>
  a.length === 0 ||
  (b.length > 0 && (a[0]!.step > b[0]!.step || (a[0]!.step === b[0]!.step && a.length <= b.length)))
    ? a
    : b;

/** Closes in on the phase between `from` and `from + width` at which the first figure that differs is the expected one. */
async function halve(
  from: number,
  width: number,
  before: readonly Failure[],
  attempt: (phase: number) => Promise<Failure[]>,
): Promise<Failure[]> {
  let [low, span] = [from, width];
  let found: Failure[] = [...before];
  for (let i = 0; i < HALVINGS; i++) {
    span /= 2;
    const middle = await attempt(low + span);
    found = better(found, middle);
    if (!isOfEstimator(middle)) break;
    if (excess(middle) === excess(before)) low += span;
  }
  return found;
}

/** True when both fail at the same place, one with too little and the other with too much. */
const isBetween = (a: readonly Failure[], b: readonly Failure[]): boolean =>
  a.length > 0 && a[0]!.step === b[0]?.step && excess(a) * excess(b) < 0;

/** 1 where the first figure that differs is too large, -1 where it is too small, 0 if unknown. */
function excess(failures: readonly Failure[]): number {
  const [, expected, got] = /expected «(.*)» got «(.*)»/.exec(failures[0]?.what ?? '') ?? [];
  const figures = (text: string | undefined) => text?.match(/\d+(?!\S*[.:])/g)?.map(Number) ?? [];
  const [wanted, had] = [figures(expected), figures(got)];
  const at = wanted.findIndex((value, i) => value !== had[i]);
  return at < 0 ? 0 : Math.sign((had[at] ?? 0) - wanted[at]!);
}

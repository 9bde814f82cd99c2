/** The rules of a kernel or a director as text that two of them can be compared by. */

/**
 * Returns what `ipvsadm -Sn` printed, followed by the lines of `ipvsadm -Ln --thresholds` that have a threshold, which
 * the former lacks.
 */
export function withThresholds(saved: string, thresholds: string): string {
  const lines = thresholds.split('\n').filter((line) => {
    const [, upper, lower] = /^ {2}-> \S+ +(\d+) +(\d+)/.exec(line) ?? [];
    return Number(upper ?? 0) > 0 || Number(lower ?? 0) > 0;
  });
  return saved + lines.map((line) => `${line.trimEnd()}\n`).join('');
}

/** What is wrong in a configuration file, where, what was expected there, and the word that was perhaps meant. */

/** A place in a file; line and column from 1, the length in characters is what the caret underlines. */
export interface Place {
  readonly line: number;
  readonly column: number;
  readonly length: number;
}

export interface Problem extends Place {
  /** An error keeps the file from being used; a warning says what will not work as written. */
  readonly severity: 'error' | 'warning';
  readonly file: string;
  readonly message: string;
}

/** `file:line:column: error: message`, the line itself and a caret under the place. */
export function formatProblem(problem: Problem, source: string): string {
  const line = source.split('\n')[problem.line - 1]?.replace(/\r$/, '') ?? '';
  const margin = line.slice(0, problem.column - 1).replace(/[^\t]/g, ' ');
  const length = Math.max(1, Math.min(problem.length, line.length - problem.column + 1));
  return [
    `${problem.file}:${problem.line}:${problem.column}: ${problem.severity}: ${problem.message}`,
    `  ${line}`,
    `  ${margin}${'^'.repeat(length)}`,
  ].join('\n');
}

/** `; did you mean 'wrr'?`, or nothing when no choice is near the word. */
export function didYouMean(word: string, choices: readonly string[]): string {
  const near = nearest(word, choices);
  return near === undefined ? '' : `; did you mean '${near}'?`;
}

/** The choice that the word is most likely a misspelling of: at most a third of its letters differ. */
export function nearest(word: string, choices: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const choice of choices) {
    const distance = editDistance(word.toLowerCase(), choice.toLowerCase());
    if (distance < least) [least, best] = [distance, choice];
  }
  return best;
}

/** Letters to insert, delete or replace to get from a to b; two neighbours swapped count as one. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min(above[j]! + 1, row[j - 1]! + 1, above[j - 1]! + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, before[j - 2]! + 1);
      row.push(cost);
    }
    before = above;
    above = row;
  }
  return above[b.length]!;
}

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

/** Most letters that are shown of a line, half of them before the place, and of a message: a file can be one long line. */
const MOST_SHOWN = 400;

/** `file:line:column: error: message`, the line itself and a caret under the place; one text a problem. */
export function formatProblems(problems: readonly Problem[], source: string): string[] {
  const lines = source.split('\n');
  return problems.map((problem) => {
    const { file, line, column, severity, message } = problem;
    const { text, at } = excerpt(printable(lines[line - 1]?.replace(/\r$/, '') ?? ''), column - 1);
    const margin = text.slice(0, at).replace(/[^\t]/g, ' ');
    const length = Math.max(1, Math.min(problem.length, text.length - at));
    const words = message.length > MOST_SHOWN ? `${message.slice(0, MOST_SHOWN)}...` : message;
    return `${file}:${line}:${column}: ${severity}: ${words}\n  ${text}\n  ${margin}${'^'.repeat(length)}`;
  });
}

/** What a terminal would take for a command is shown as U+FFFD. */
const printable = (line: string): string => line.replace(/[^\P{Cc}\t]/gu, '\uFFFD');

/** Returns a line, or where it is long the part around `at`; `at`: where that is in it. */
function excerpt(line: string, at: number): { text: string; at: number } {
  if (line.length <= MOST_SHOWN) return { text: line, at };
  const from = Math.max(0, at - MOST_SHOWN / 2);
  const before = from > 0 ? '...' : '';
  const after = line.length > from + MOST_SHOWN ? '...' : '';
  return { text: `${before}${line.slice(from, from + MOST_SHOWN)}${after}`, at: at - from + before.length };
}

/** `; did you mean 'wrr'?`, or nothing when no choice is near the word. */
export function didYouMean(word: string, choices: readonly string[]): string {
  const near = nearest(word, choices);
  return near === undefined ? '' : `; did you mean '${near}'?`;
}

/** Returns the choice that the word is most likely a misspelling of: at most a third of its letters differ, and not all. */
export function nearest(word: string, choices: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.min(word.length, Math.max(1, Math.floor(word.length / 3)) + 1);
  for (const choice of choices) {
    if (Math.abs(word.length - choice.length) >= least) continue; // so many letters differ at least
    const distance = editDistance(word.toLowerCase(), choice.toLowerCase());
    if (distance < least) [least, best] = [distance, choice];
  }
  return best;
}

/** Letters to insert, delete or replace to get from a to b; two neighbors swapped count as one. */
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

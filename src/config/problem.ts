/** Problems of a configuration file: position, message, and suggestions for misspelled words. */
import { LvsError } from '../model/errors.ts';

/** A position in a file; line and column count from 1, `length` is the number of characters to underline. */
export interface Place {
  readonly line: number;
  readonly column: number;
  readonly length: number;
}

export interface Problem extends Place {
  /** A file with an error is rejected; a warning is about something that will not work as written. */
  readonly severity: 'error' | 'warning';
  readonly file: string;
  readonly message: string;
}

/**
 * Characters shown of a line, half of them before the position, and of a message: a file can be one long
 * line.
 */
const MAX_SHOWN_CHARACTERS = 400;

/** Errors that a message contains; more are counted. */
const MAX_ERRORS = 200;

/** Returns the LvsError CONFIG of a file with these errors. */
export function rejection(errors: readonly Problem[], source: string): LvsError {
  const lines = formatProblems(errors.slice(0, MAX_ERRORS), source);
  if (errors.length > MAX_ERRORS) lines.push(`... and ${errors.length - MAX_ERRORS} more errors`);
  return new LvsError('CONFIG', lines.join('\n'));
}

/** Returns per problem: `file:line:column: error: message`, the line, and a caret under the position. */
export function formatProblems(problems: readonly Problem[], source: string): string[] {
  const lines = source.split('\n');
  return problems.map((problem) => {
    const { file, line, column, severity, message } = problem;
    const { text, at } = excerpt(printable(lines[line - 1]?.replace(/\r$/, '') ?? ''), column - 1);
    const margin = text.slice(0, at).replace(/[^\t]/g, ' ');
    const length = Math.max(1, Math.min(problem.length, text.length - at));
    const words =
      message.length > MAX_SHOWN_CHARACTERS ? `${message.slice(0, MAX_SHOWN_CHARACTERS)}...` : message;
    return `${file}:${line}:${column}: ${severity}: ${words}\n  ${text}\n  ${margin}${'^'.repeat(length)}`;
  });
}

/** Replaces control characters, which a terminal would interpret, by U+FFFD. */
const printable = (line: string): string => line.replace(/[^\P{Cc}\t]/gu, '\uFFFD');

/** Returns a line, or of a long line the part around `at`; in the result, `at` is relative to that part. */
function excerpt(line: string, at: number): { text: string; at: number } {
  if (line.length <= MAX_SHOWN_CHARACTERS) return { text: line, at };
  const from = Math.max(0, at - MAX_SHOWN_CHARACTERS / 2);
  const before = from > 0 ? '...' : '';
  const after = line.length > from + MAX_SHOWN_CHARACTERS ? '...' : '';
  return {
    text: `${before}${line.slice(from, from + MAX_SHOWN_CHARACTERS)}${after}`,
    at: at - from + before.length,
  };
}

/** Returns `; did you mean 'wrr'?`, or an empty text when no choice is similar to the word. */
export function didYouMean(word: string, choices: readonly string[]): string {
  const near = nearest(word, choices);
  return near === undefined ? '' : `; did you mean '${near}'?`;
}

/**
 * Returns the choice of which the word is most likely a misspelling: at most a third of its characters
 * differ, and not all.
 */
export function nearest(word: string, choices: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.min(word.length, Math.max(1, Math.floor(word.length / 3)) + 1);
  for (const choice of choices) {
    if (Math.abs(word.length - choice.length) >= least) continue; // at least this many characters differ
    const distance = editDistance(word.toLowerCase(), choice.toLowerCase());
    if (distance < least) [least, best] = [distance, choice];
  }
  return best;
}

/**
 * Returns the number of characters to insert, delete or replace to get from a to b; swapping two neighbors
 * counts as one.
 */
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

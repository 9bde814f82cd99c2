/** Whether what came of a statement is what its scenario says. */
import type { Line } from './scenario-file.ts';

/** A line of an outcome, in the short and in the full form. */
export interface OutcomeLine {
  readonly short: string;
  readonly full: string;
  /** Spaces count, but at the end. */
  readonly isListing?: boolean;
}

/** Returns a line whose two forms are the same. */
export const plainly = (text: string): OutcomeLine => ({ short: text, full: text });

/** What differs, with the line where; undefined: nothing does. */
export function difference(
  expected: readonly Line[],
  got: readonly OutcomeLine[],
  at: number,
): string | undefined {
  const end = expected.at(-1)?.line ?? at;
  for (let i = 0; i < Math.max(expected.length, got.length); i++) {
    const [wanted, actual] = [expected[i], got[i]];
    if (!wanted) return `${end}: and then, not expected: ${actual!.short}`;
    if (!actual) return `${wanted.line}: this did not come: ${wanted.text}`;
    if (!agrees(wanted.text, actual))
      return `${wanted.line}: it says: ${wanted.text}\n  it was:  ${actual.full}`;
  }
  return undefined;
}

/** True when a text says all of the short form, and nothing that is not in the full one. Spaces and `TCP` are nothing. */
function agrees(text: string, { short, full, isListing }: OutcomeLine): boolean {
  if (isListing) return text.trimEnd() === full.trimEnd();
  const words = wordsOf(text);
  return isWithin(wordsOf(short), words) && isWithin(words, wordsOf(full));
}

/** Brackets are separate words: the text in them has a short and a full form, too. */
const wordsOf = (text: string): string[] =>
  (text.match(/[[\]]|[^\s[\]]+/g) ?? []).filter((word) => word !== 'TCP');

/** True when all words of one text come in the other, in this order. */
function isWithin(words: readonly string[], others: readonly string[]): boolean {
  let next = 0;
  for (const word of others) if (word === words[next]) next++;
  return next === words.length;
}

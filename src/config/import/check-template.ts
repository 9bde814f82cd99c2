/** Words of a check that name its real server, replaced so that one check serves every server of a service. */
import type { DestinationDocument } from '../document.ts';

/**
 * Returns a word of a command with the address of `destination` replaced by `$ADDRESS`, and its port, where it is the
 * whole word or follows the address, by `$PORT`.
 */
export function templateOf(word: string, { destination: { address, port } }: DestinationDocument): string {
  if (word === String(port) && port !== 0) return '$PORT';
  const literal = address.replace(/[.]/g, '\\.');
  const inBrackets = address.includes(':') ? `\\[${literal}\\]` : literal;
  return word.replace(
    new RegExp(`(?<![\\w.:])(${inBrackets}|${literal})(:${port}(?!\\d))?(?![\\w.:]*\\w)`, 'g'),
    (_, found: string, end?: string) =>
      `${found.startsWith('[') ? '[$ADDRESS]' : '$ADDRESS'}${end === undefined ? '' : ':$PORT'}`,
  );
}

/**
 * Returns the words that serve all servers: with their addresses and ports replaced, or as they are where all servers
 * have the same. undefined where the servers differ. A word that a check would replace itself is not carried over.
 */
export function commonWords(
  all: readonly { readonly words: readonly string[]; readonly destination: DestinationDocument }[],
): string[] | undefined {
  if (all.some(({ words }) => words.some((word) => /\$\{?(ADDRESS|PORT)\b/.test(word)))) return undefined;
  const [program, ...templates] = all.map(({ words, destination }) =>
    words.map((word, i) => (i === 0 ? word : templateOf(word, destination))),
  );
  if (templates.every((each) => isSame(each, program!))) return program;
  const [first, ...others] = all;
  return others.every(({ words }) => isSame(words, first!.words)) ? [...first!.words] : undefined;
}

const isSame = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((word, i) => word === b[i]);

/** Words of a check that name its real server, replaced so that one check serves every server of a service. */
import type { DestinationDocument } from '../document.ts';

/**
 * Returns a word of a command with the address of `destination` replaced by `$ADDRESS`, and its port, where it is the
 * whole word or follows the address, by `$PORT`.
 */
function templateOf(word: string, { destination: { address, port } }: DestinationDocument): string {
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
 * Returns the words of a command with the address and port of its server replaced; its program stays as it is.
 * undefined: they contain words that a check would replace.
 */
export function templateWords(
  words: readonly string[],
  destination: DestinationDocument,
): string[] | undefined {
  if (words.some((word) => /\$\{?(ADDRESS|PORT)\b/.test(word))) return undefined;
  return words.map((word, i) => (i === 0 ? word : templateOf(word, destination)));
}

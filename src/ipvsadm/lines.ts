/** Splits the input of `ipvsadm -R` into lines and words: separated by blanks, without quotes or comments. */

/** Characters at which a line is split; no rule is that long. */
const MAX_LINE_CHARACTERS = 65_536;

type Text = AsyncIterable<string> | Iterable<string>;

/**
 * Yields the lines that have words, as many at a time as were received. The word `ipvsadm` is ignored
 * anywhere.
 */
export async function* restoreLines(input: Text): AsyncGenerator<readonly (readonly string[])[]> {
  let rest = '';
  for await (const text of input) {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    if (rest.length > MAX_LINE_CHARACTERS) {
      lines.push(rest);
      rest = '';
    }
    yield commandsOf(lines);
  }
  yield commandsOf([rest]);
}

const commandsOf = (lines: readonly string[]): readonly (readonly string[])[] =>
  lines.map(wordsOf).filter((words) => words !== undefined);

/**
 * Returns the words; undefined for a blank line. Text after a NUL is ignored, and a line of nothing else is
 * an error.
 */
function wordsOf(line: string): readonly string[] | undefined {
  const end = line.indexOf('\0');
  const seen = end < 0 ? line : line.slice(0, end);
  const words = seen.split(/[ \t\r]+/).filter((word) => word !== '' && word !== 'ipvsadm');
  return words.length > 0 || end >= 0 ? words : undefined;
}

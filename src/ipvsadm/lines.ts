/** The lines that `ipvsadm -R` reads, as words: separated by blanks, without quotes or comments. */

/** A line that is longer than this, characters, is cut there and goes on as the next one: no rule is. */
const LONGEST_LINE = 65_536;

type Text = AsyncIterable<string> | Iterable<string>;

/** Returns the lines that have words, as many at a time as have come. The word `ipvsadm` may stand anywhere and says nothing. */
export async function* restoreLines(input: Text): AsyncGenerator<readonly (readonly string[])[]> {
  let rest = '';
  for await (const text of input) {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    if (rest.length > LONGEST_LINE) {
      lines.push(rest);
      rest = '';
    }
    yield commandsOf(lines);
  }
  yield commandsOf([rest]);
}

const commandsOf = (lines: readonly string[]): readonly (readonly string[])[] =>
  lines.map(wordsOf).filter((words) => words !== undefined);

/** undefined: a blank line. What follows a NUL is not seen, and a line of nothing else makes no sense. */
function wordsOf(line: string): readonly string[] | undefined {
  const end = line.indexOf('\0');
  const seen = end < 0 ? line : line.slice(0, end);
  const words = seen.split(/[ \t\r]+/).filter((word) => word !== '' && word !== 'ipvsadm');
  return words.length > 0 || end >= 0 ? words : undefined;
}

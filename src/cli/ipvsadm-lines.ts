/** The lines that `ipvsadm -R` reads, as words: separated by blanks, without quotes or comments. */

/** A word longer than this goes on as the next one, octets: there is no such option. */
const LONGEST_LINE = 65_536;

/** Words of each line that has some. A leading `ipvsadm` is left out. */
export async function* restoreLines(
  input: AsyncIterable<string> | Iterable<string>,
): AsyncGenerator<readonly string[]> {
  for await (const line of linesOf(input)) {
    const words = line.split(/[ \t\r]+/).filter((word) => word !== '');
    const isWord = words.findIndex((word) => word !== 'ipvsadm');
    if (isWord >= 0) yield words.slice(isWord);
  }
}

async function* linesOf(input: AsyncIterable<string> | Iterable<string>): AsyncGenerator<string> {
  let rest = '';
  for await (const text of input) {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    yield* lines;
    if (rest.length > LONGEST_LINE) {
      yield rest;
      rest = '';
    }
  }
  if (rest !== '') yield rest;
}

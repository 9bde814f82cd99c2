/** The help text of ipvsadm in parts, for its manual page and its completion. */
import { HELP } from '../src/ipvsadm/help.ts';

/** A line of the help text about one option, or about several of one kind. */
export interface HelpEntry {
  /** Spellings and the argument, such as `-w`, `--weight`, `WEIGHT`. */
  readonly words: readonly string[];
  readonly meaning: string;
}

export interface HelpSection {
  readonly title: string;
  readonly entries: readonly HelpEntry[];
}

/** Columns of a line are separated by two spaces at least. */
const columnsOf = (line: string): string[] => line.trim().split(/ {2,}/);

/** Returns the entries of a line: the options of daemons share lines, and each has its default in parentheses. */
function entriesOf(line: string): HelpEntry[] {
  const [first = '', ...others] = columnsOf(line);
  if (others.every((column) => column.startsWith('--')) && /^--\S+ [A-Z]/.test(first))
    return [first, ...others].map((column) => {
      const [, words = '', meaning = ''] = /^(.*?) \((.*)\)$/.exec(column) ?? [];
      return { words: words.split(' '), meaning: `default: ${meaning.replace(/^default: /, '')}` };
    });
  const isArgument = others.length > 0 && /^[A-Z[]/.test(others[0]!);
  return [
    {
      words: [...first.split(' '), ...(isArgument ? [others[0]!] : [])],
      meaning: (isArgument ? others.slice(1) : others).join(' '),
    },
  ];
}

const blocks = HELP.split(/\n\n/);
const titled = (block: string): [string, string[]] => {
  const [title = '', ...lines] = block.trimEnd().split('\n');
  return [title.replace(/:$/, ''), lines];
};

/** The forms of the command line. */
export const usage: readonly string[] = titled(blocks.find((block) => block.startsWith('Usage:'))!)[1].map(
  (line) => columnsOf(line)[0]!,
);

/** What follows the forms: commands and options. */
export const sections: readonly HelpSection[] = blocks
  .filter((block) => /^(?!Usage).*:$/m.test(block.split('\n')[0]!))
  .map(titled)
  .map(([title, lines]) => ({ title, entries: lines.flatMap(entriesOf) }));

/** Returns what the help text says about an option. */
export const meaningOf = (long: string): string =>
  sections.flatMap(({ entries }) => entries).find(({ words }) => words.includes(`--${long}`))?.meaning ?? '';

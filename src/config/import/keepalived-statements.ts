/** Parses lines of keepalived.conf(5) into statements: a word with its arguments, and a block in braces. */
import type { SourceLine } from './import-result.ts';
import type { Complain } from './keepalived-lines.ts';

export interface Statement {
  readonly words: readonly string[];
  /** Where the statement begins. */
  readonly at: SourceLine;
  /** The statements between the braces, where it has some. */
  readonly body?: readonly Statement[];
}

export interface Token {
  readonly text: string;
  /** Offset in the line. */
  readonly index: number;
  readonly kind: 'word' | 'open' | 'close';
}

/** A line ends a statement, and so does a brace. Never throws: what is wrong is reported to `complain`. */
export function parseStatements(lines: readonly SourceLine[], complain: Complain): Statement[] {
  const root: Statement[] = [];
  const open: { readonly body: Statement[]; readonly at: SourceLine }[] = [];
  for (const at of lines) {
    let words: string[] = [];
    const endStatement = () => {
      if (words.length > 0) (open.at(-1)?.body ?? root).push({ words, at });
      words = [];
    };
    for (const { text, kind } of tokensOf(at, complain)) {
      if (kind === 'word') {
        words.push(text);
        continue;
      }
      endStatement();
      if (kind === 'open') {
        const into = open.at(-1)?.body ?? root;
        const isOwned = into.length > 0 && into.at(-1)!.body === undefined;
        if (!isOwned) complain(at, 'an opening brace without a keyword');
        const owner = isOwned ? into.pop()! : { words: ['{'], at };
        const body: Statement[] = [];
        into.push({ ...owner, body });
        open.push({ body, at });
      } else if (!open.pop()) complain(at, 'a closing brace without an opening brace');
    }
    endStatement();
  }
  for (const { at } of open) complain(at, 'this brace is not closed');
  return root;
}

/** Splits a line into words and braces; a double quote begins a word, `#` and `!` begin a comment outside of quotes. */
export function tokensOf(at: SourceLine, complain: Complain): Token[] {
  const tokens: Token[] = [];
  const pattern = /\s+|"([^"]*)"|[{}]|[#!].*|((?:\\[#!]|[^\s{}"#!])+)|"/gy;
  for (const match of at.text.matchAll(pattern)) {
    const [found, quoted, plain] = match;
    const { index } = match;
    if (quoted !== undefined) tokens.push({ text: quoted, kind: 'word', index });
    else if (plain !== undefined)
      tokens.push({ text: plain.replace(/\\([#!])/g, '$1'), kind: 'word', index });
    else if (found === '{') tokens.push({ text: found, kind: 'open', index });
    else if (found === '}') tokens.push({ text: found, kind: 'close', index });
    else if (found === '"') complain(at, 'a quote is not closed');
  }
  return tokens;
}

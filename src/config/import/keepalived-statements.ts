/** The statements of keepalived.conf(5): words a line, blocks in braces. */

/** A statement: its words, and the statements in its braces where it has some. */
export interface Statement {
  readonly words: readonly string[];
  readonly line: number;
  readonly body?: readonly Statement[];
}

/** Statements a line, blocks in braces, # and ! comments, words in double quotes. Never throws. */
export function parseKeepalived(text: string, complain: (line: number, why: string) => void): Statement[] {
  const root: Statement[] = [];
  const open: { body: Statement[]; line: number }[] = [];
  const into = () => open.at(-1)?.body ?? root;
  for (const [i, raw] of text.split('\n').entries()) {
    const line = i + 1;
    const tokens = raw.match(/"[^"]*"|[{}]|[#!].*|[^\s{}"]+/g) ?? [];
    let words: string[] = [];
    const end = () => {
      if (words.length > 0) into().push({ words, line });
      words = [];
    };
    for (const token of tokens) {
      if (/^[#!]/.test(token)) break;
      if (token === '{') {
        end();
        const owner = into().pop() ?? { words: ['{'], line };
        const body: Statement[] = [];
        into().push({ ...owner, body });
        open.push({ body, line });
      } else if (token === '}') {
        end();
        if (!open.pop()) complain(line, 'a closing brace without its opening one');
      } else words.push(token.replace(/^"(.*)"$/, '$1'));
    }
    end();
  }
  for (const { line } of open) complain(line, 'this brace is never closed');
  return root;
}

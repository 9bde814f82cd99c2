/** As much of a shell as recordings of command lines use: `;`, `&&`, `|`, `( )`, redirections, `$?` and a few commands. */
import { split } from './words.ts';

export interface ShellAnswer {
  readonly rc: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that the shell does not have itself; undefined: there is none of that name. */
export type External = (
  argv: readonly string[],
  stdin: string,
) => Promise<ShellAnswer | undefined> | undefined;

/** A shell with files of its own. */
export class Shell {
  readonly #external: External;
  readonly #files = new Map<string, string>();
  #status = 0;

  constructor(external: External) {
    this.#external = external;
  }

  /** Runs a line. Throws for what it does not know. */
  async run(line: string, stdin = ''): Promise<ShellAnswer> {
    return await this.#sequence(tokensOf(line), stdin);
  }

  /** Commands between `;`, `&&` and `||`. */
  async #sequence(tokens: readonly string[], stdin: string): Promise<ShellAnswer> {
    let stdout = '';
    let stderr = '';
    for (const { joint, command } of parts(tokens, [';', '&&', '||'])) {
      const isSkipped = (joint === '&&' && this.#status !== 0) || (joint === '||' && this.#status === 0);
      if (command.length === 0 || isSkipped) continue;
      const answer = await this.#pipeline(command, stdin);
      this.#status = answer.rc;
      stdout += answer.stdout;
      stderr += answer.stderr;
    }
    return { rc: this.#status, stdout, stderr };
  }

  async #pipeline(tokens: readonly string[], stdin: string): Promise<ShellAnswer> {
    let input = stdin;
    let stderr = '';
    let rc = 0;
    for (const { command } of parts(tokens, ['|'])) {
      const answer = await this.#command(command, input);
      input = answer.stdout;
      stderr += answer.stderr;
      rc = answer.rc;
    }
    return { rc, stdout: input, stderr };
  }

  async #command(tokens: readonly string[], stdin: string): Promise<ShellAnswer> {
    if (tokens[0] === '(') return await this.#sequence(tokens.slice(1, tokens.lastIndexOf(')')), stdin);
    const at = tokens.findIndex((token) => REDIRECTIONS.has(token));
    if (at < 0) return await this.#simple(tokens.join(' '), stdin);
    const isJoined = tokens[at] === '2>&1';
    const rest = [...tokens.slice(0, at), ...tokens.slice(isJoined ? at + 1 : at + 2)];
    const file = tokens[at + 1] ?? '';
    if (tokens[at] === '<') return await this.#command(rest, this.#files.get(file) ?? '');
    const { rc, stdout, stderr } = await this.#command(rest, stdin);
    if (isJoined) return { rc, stdout: stdout + stderr, stderr: '' };
    if (tokens[at] === '2>') return { rc, stdout, stderr: '' };
    if (file !== '/dev/null')
      this.#files.set(file, tokens[at] === '>>' ? (this.#files.get(file) ?? '') + stdout : stdout);
    return { rc, stdout: '', stderr };
  }

  async #simple(text: string, stdin: string): Promise<ShellAnswer> {
    const argv = split(text.replaceAll('$?', String(this.#status)));
    const done = (stdout: string): ShellAnswer => ({ rc: 0, stdout, stderr: '' });
    const [name = '', ...rest] = argv;
    if (name === 'cat' && (rest.length === 0 || this.#files.has(rest[0]!)))
      return done(rest.length === 0 ? stdin : this.#files.get(rest[0]!)!);
    const filter = FILTERS[name];
    if (filter) {
      const stdout = filter(rest, stdin);
      return { rc: name === 'grep' && stdout === '' ? 1 : 0, stdout, stderr: '' };
    }
    const answer = await this.#external(argv, stdin);
    if (!answer) throw new Error(`the shell has no command ${name}`);
    return answer;
  }
}

const linesOf = (text: string): string[] => text.split('\n').slice(0, text.endsWith('\n') ? -1 : undefined);
const textOf = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');
const escaped = (text: string): string => text.replaceAll('\\n', '\n').replaceAll('\\t', '\t');
const count = (words: readonly string[]): number => Number(words.join('').replace(/\D/g, '')) || 10;

/** Commands that make text of their words and of what comes in. */
const FILTERS: Readonly<Record<string, (words: readonly string[], stdin: string) => string>> = {
  echo: (words) => `${words.join(' ')}\n`,
  printf: ([format = '']) => escaped(format),
  true: () => '',
  sleep: () => '',
  head: (words, stdin) => textOf(linesOf(stdin).slice(0, count(words))),
  tail: (words, stdin) => textOf(linesOf(stdin).slice(-count(words))),
  sort: (_words, stdin) => textOf(linesOf(stdin).sort()),
  wc: (_words, stdin) => `${linesOf(stdin).length}\n`,
  grep: (words, stdin) => {
    const flags = words.filter((word) => word.startsWith('-')).join('');
    const pattern = words.find((word) => !word.startsWith('-')) ?? '';
    const expression = new RegExp(pattern, flags.includes('i') ? 'i' : '');
    const found = linesOf(stdin).filter((line) => expression.test(line) !== flags.includes('v'));
    return flags.includes('c') ? `${found.length}\n` : textOf(found);
  },
};

const REDIRECTIONS = new Set(['<', '>', '>>', '2>', '2>&1']);

/** Words and operators; what is quoted stays in its quotes. */
function tokensOf(line: string): string[] {
  const tokens = line.matchAll(/2>&1|2>|'[^']*'|"(?:[^"\\]|\\.)*"|\|\||&&|>>|[;|()<>]|[^\s;|()<>&'"]+/g);
  return [...tokens].map(([token]) => token);
}

/** The commands between separators outside of parentheses, each with the separator before it. */
function parts(
  tokens: readonly string[],
  separators: readonly string[],
): { readonly joint: string; readonly command: string[] }[] {
  const all: { joint: string; command: string[] }[] = [{ joint: '', command: [] }];
  let depth = 0;
  for (const token of tokens) {
    if (token === '(') depth++;
    if (token === ')') depth--;
    if (separators.includes(token) && depth === 0) all.push({ joint: token, command: [] });
    else all.at(-1)!.command.push(token);
  }
  return all;
}

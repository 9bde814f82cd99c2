/** As much of a shell as recordings of command lines use: `;`, `&&`, `||`, `|`, `( )`, redirections, `$?` and filters. */
import { spawnSync } from 'node:child_process';
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

/** A shell with separate files. */
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
    const [file = ''] = split(tokens[at + 1] ?? '');
    if (tokens[at] === '<<<') return await this.#command(rest, `${file}\n`);
    if (tokens[at] === '<') return await this.#command(rest, this.#files.get(file) ?? '');
    const { rc, stdout, stderr } = await this.#command(rest, stdin);
    if (isJoined) return { rc, stdout: stdout + stderr, stderr: '' };
    if (tokens[at] === '2>') return { rc, stdout, stderr: '' };
    if (file !== '/dev/null')
      this.#files.set(file, tokens[at] === '>>' ? (this.#files.get(file) ?? '') + stdout : stdout);
    return { rc, stdout: '', stderr };
  }

  async #simple(text: string, stdin: string): Promise<ShellAnswer> {
    const [name = '', ...argv] = split(text.replaceAll('$?', String(this.#status)));
    const last = argv.at(-1);
    const isOfFile = last !== undefined && this.#files.has(last);
    if (FILTERS.has(name) && (name !== 'cat' || isOfFile || last === undefined))
      return isOfFile ? filter(name, argv.slice(0, -1), this.#files.get(last)!) : filter(name, argv, stdin);
    const answer = await this.#external([name, ...argv], stdin);
    if (!answer) throw new Error(`the shell has no command ${name}`);
    return answer;
  }
}

/** Programs of the host that make text of their words and of what comes in; a file, the last word, comes in as well. */
const FILTERS = new Set(
  'awk cat cut echo egrep expr false grep head nl paste printf rev sed seq sort tac tail tr true uniq wc'.split(
    ' ',
  ),
);

function filter(name: string, argv: readonly string[], input: string): ShellAnswer {
  const { status, stdout, stderr, error } = spawnSync(name, argv, { input, encoding: 'utf8' });
  if (error && (error as NodeJS.ErrnoException).code !== 'EPIPE') throw error; // head does not read it all
  return { rc: status ?? 1, stdout, stderr };
}

const REDIRECTIONS = new Set(['<', '<<<', '>', '>>', '2>', '2>&1']);

/** Words as they are written, and operators; a comment is left out. */
function tokensOf(line: string): string[] {
  const all = /2>&1|2>|\|\||&&|>>|<<<|[;|()<>\n]|#.*|(?:[^\s;|()<>&'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+/g;
  return [...line.matchAll(all)]
    .map(([token]) => (token === '\n' ? ';' : token))
    .filter((token) => !token.startsWith('#'));
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

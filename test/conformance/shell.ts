/** As much of a shell as recordings of command lines use: words, `;`, `|`, `( )`, `<`, `>`, `$?` and a few commands. */
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

  /** Commands between `;`. */
  async #sequence(tokens: readonly string[], stdin: string): Promise<ShellAnswer> {
    let stdout = '';
    let stderr = '';
    for (const command of parts(tokens, ';')) {
      if (command.length === 0) continue;
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
    for (const command of parts(tokens, '|')) {
      const answer = await this.#command(command, input);
      input = answer.stdout;
      stderr += answer.stderr;
      rc = answer.rc;
    }
    return { rc, stdout: input, stderr };
  }

  async #command(tokens: readonly string[], stdin: string): Promise<ShellAnswer> {
    if (tokens[0] === '(') return await this.#sequence(tokens.slice(1, tokens.lastIndexOf(')')), stdin);
    const at = tokens.findIndex((token) => token === '<' || token === '>');
    if (at < 0) return await this.#simple(tokens.join(' '), stdin);
    const file = tokens[at + 1]!;
    const rest = [...tokens.slice(0, at), ...tokens.slice(at + 2)];
    if (tokens[at] === '<')
      return await this.#command(rest, file === '/dev/null' ? '' : (this.#files.get(file) ?? ''));
    const answer = await this.#command(rest, stdin);
    this.#files.set(file, answer.stdout);
    return { ...answer, stdout: '' };
  }

  async #simple(text: string, stdin: string): Promise<ShellAnswer> {
    const argv = split(text.replaceAll('$?', String(this.#status)));
    const done = (stdout: string): ShellAnswer => ({ rc: 0, stdout, stderr: '' });
    const [name = '', ...rest] = argv;
    switch (name) {
      case 'echo':
        return done(`${rest.join(' ')}\n`);
      case 'printf':
        return done(rest[0]!.replaceAll('\\n', '\n').replaceAll('\\t', '\t'));
      case 'true':
      case 'sleep':
        return done('');
      case 'head': {
        const count = Number(rest.join('').replace(/\D/g, '')) || 10;
        return done(stdin.split('\n').slice(0, count).join('\n') + (stdin === '' ? '' : '\n'));
      }
      case 'cat': {
        const file = this.#files.get(rest[0] ?? '');
        if (rest.length === 0) return done(stdin);
        if (file !== undefined) return done(file);
      }
    }
    const answer = await this.#external(argv, stdin);
    if (!answer) throw new Error(`the shell has no command ${name}`);
    return answer;
  }
}

/** Words and operators; what is quoted stays in its quotes. */
function tokensOf(line: string): string[] {
  const tokens = line.matchAll(/'[^']*'|"(?:[^"\\]|\\.)*"|\|\||&&|[;|()<>]|[^\s;|()<>&'"]+/g);
  return [...tokens].map(([token]) => token);
}

/** The tokens between separators outside of parentheses. */
function parts(tokens: readonly string[], separator: string): string[][] {
  const all: string[][] = [[]];
  let depth = 0;
  for (const token of tokens) {
    if (token === '(') depth++;
    if (token === ')') depth--;
    if (token === separator && depth === 0) all.push([]);
    else all.at(-1)!.push(token);
  }
  return all;
}

/** What is wrong with a program's arguments: one line that names the program, and an exit status of its own. */
import { type Command, CommanderError } from 'commander';

/** Exit status of wrong arguments. */
export const WRONG_ARGUMENTS = 2;

/** For a program, before it gets its commands: they inherit it. */
export function plainArguments(program: Command): void {
  const name = program.name();
  program.exitOverride().configureOutput({
    outputError: (text, write) => {
      const line = text
        .replace(/^error: /, '')
        .trim()
        .replaceAll('\n', ' ');
      write(`${name}: ${line} (${name} --help)\n`);
    },
  });
}

/** Reports whether commander has told the user; its status is 0 for --help and --version. */
export const isToldAlready = (error: unknown): error is CommanderError => error instanceof CommanderError;

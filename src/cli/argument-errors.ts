/** Reports wrong arguments: one line that names the program, and a separate exit status. */
import { type Command, CommanderError } from 'commander';
import { stderrText } from '../runtime/journal.ts';

/** Exit status of wrong arguments. */
export const WRONG_ARGUMENTS = 2;

/** Configures a program, before its commands are added, which inherit it. */
export function plainArguments(program: Command): void {
  const name = program.name();
  program.exitOverride().configureOutput({
    outputError: (text, write) => {
      const line = text
        .replace(/^error: /, '')
        .trim()
        .replaceAll('\n', ' ');
      write(stderrText('error', `${name}: ${line} (${name} --help)`).concat('\n'));
    },
  });
}

/** Reports whether commander has already reported the error; its exit code is 0 for --help and --version. */
export const isReported = (error: unknown): error is CommanderError => error instanceof CommanderError;

/** Loads the program of an executable: Node.js opens many of its files at once. Written for Node.js 12, like its callers. */

/** Reports whether the limit of open files is too low to load a file of the program. */
export const isFileLimit = (error: unknown): boolean =>
  ['EMFILE', 'ENFILE'].includes(String((error as NodeJS.ErrnoException).code));

export const FILE_LIMIT_TEXT =
  'too many open files while the program is loaded: expected a limit of 256 or more (ulimit -n 1024, or LimitNOFILE= of systemd)';

/** Calls `main` with the program. Ends with one line if the limit of open files is too low. Other errors are faults. */
export function loadProgram<T>(program: Promise<T>, main: (program: T) => unknown): void {
  program.then(main, (error: unknown) => {
    if (!isFileLimit(error)) throw error;
    process.stderr.write(`lvs: ${FILE_LIMIT_TEXT}\n`);
    process.exit(1);
  });
}

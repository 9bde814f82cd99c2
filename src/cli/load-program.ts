/** Loads the program of an executable: Node.js opens all of its files at once. Written for Node.js 12, like its callers. */

/**
 * Calls `main` with the program. Ends with one line if the limit of open files is too low to load it. Other errors are
 * faults.
 */
export function loadProgram<T>(program: Promise<T>, main: (program: T) => unknown): void {
  program.then(main, (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EMFILE' && error.code !== 'ENFILE') throw error;
    process.stderr.write(
      'lvs: too many open files while the program is loaded: expected a limit of 256 or more (ulimit -n 1024, or LimitNOFILE= of systemd)\n',
    );
    process.exit(1);
  });
}

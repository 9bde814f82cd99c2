/** What commands of lvs-director use of their process: its exit status, its output, and the signals that end it. */

/** Exit status of failures at run time; wrong arguments and files have another one. */
export const FAILED = 1;

export const print = (text: string): void => void process.stdout.write(text);

/** Returns a signal that aborts at SIGINT and SIGTERM. */
export function untilSignal(): AbortSignal {
  const ending = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => ending.abort(signal));
  return ending.signal;
}

/** What went wrong at a socket or a program, in a few words that are the same each time. */

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  EHOSTDOWN: 'host down',
  ETIMEDOUT: 'timed out',
  ENOENT: 'no such program',
  EACCES: 'not allowed',
  EPIPE: 'connection closed',
};

/** `seconds`: the time that the check had, where `signal` ended it. */
export function wordsOf(error: unknown, signal: AbortSignal, seconds: number): string {
  if (signal.aborted) return `no answer in ${seconds} s`;
  const { code, message } = error as NodeJS.ErrnoException;
  return WORDS[code ?? ''] ?? message;
}

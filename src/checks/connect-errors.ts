/** Messages for errors of sockets and programs; equal errors have equal messages. */

const MESSAGES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  EHOSTDOWN: 'host down',
  ETIMEDOUT: 'timed out',
  ENOENT: 'program not found',
  EACCES: 'permission denied',
  EPIPE: 'connection closed',
};

/** Returns the message of an error. `seconds`: the timeout of the check, for the message if `signal` aborted it. */
export function errorMessage(error: unknown, signal: AbortSignal, seconds: number): string {
  if (signal.aborted) return `no answer in ${seconds} s`;
  const { code, message } = error as NodeJS.ErrnoException;
  return MESSAGES[code ?? ''] ?? message;
}

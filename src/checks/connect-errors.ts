/** Messages for errors of sockets and programs; equal errors have equal messages. */

import type { Observation } from './probe.ts';

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
  // OpenSSL's messages contain addresses and line numbers, which differ each time.
  const [, reason] = /:SSL routines:[^:]*:([^:]+):/.exec(message) ?? [];
  if (reason !== undefined) return `TLS: ${reason}`;
  return MESSAGES[code ?? ''] ?? message;
}

/** Errors of this host: they are unrelated to the destination (errno(3)). */
const LOCAL_ERRORS: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'ENOBUFS', 'EAGAIN']);

/** Returns the result of a check that failed with an error; parameters as above. */
export function failureOf(error: unknown, signal: AbortSignal, seconds: number): Observation {
  const { code = '' } = (error ?? {}) as NodeJS.ErrnoException;
  const isInconclusive = !signal.aborted && LOCAL_ERRORS.has(code);
  return {
    healthy: false,
    message: errorMessage(error, signal, seconds),
    ...(isInconclusive && { isInconclusive }),
  };
}

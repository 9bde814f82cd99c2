/** The error of a failed system call: its name, and the kernel's error. */
import { getSystemErrorMap } from 'node:util';

export class SystemCallError extends Error {
  /** The call with its subject: `bpf(PROG_LOAD)`. */
  readonly call: string;
  /** A positive errno. */
  readonly errno: number;
  /** Its name, such as EPERM. */
  readonly code: string;

  /** `remedy`: what an operator can do about it. */
  constructor(call: string, errno: number, remedy?: string) {
    const [code, meaning] = getSystemErrorMap().get(-errno) ??
      OTHERS.get(errno) ?? [`E${errno}`, 'unknown error'];
    super(`${call}: ${code}, ${meaning}${remedy === undefined ? '' : ` (${remedy})`}`);
    this.name = 'SystemCallError';
    this.call = call;
    this.errno = errno;
    this.code = code;
  }
}

/** Errors that Node has no name for (include/uapi/asm-generic/errno-base.h and errno.h, Linux 6.1). */
const OTHERS: ReadonlyMap<number, readonly [string, string]> = new Map([
  [61, ['ENODATA', 'no data available']],
  [77, ['EBADFD', 'file descriptor in bad state']],
  [524, ['ENOTSUPP', 'not supported by this kernel']],
]);

/** Returns the result of a call. Throws SystemCallError if it is negative. */
export function succeeded(call: string, result: number, remedy?: string): number {
  if (result < 0) throw new SystemCallError(call, -result, remedy);
  return result;
}

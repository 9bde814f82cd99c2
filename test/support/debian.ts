/** Programs of Debian that some tests need, and why one cannot be used. */
import { spawnSync } from 'node:child_process';

/** `program`: as in its path. */
export const lacking = (program: string, debianPackage = program): string | undefined =>
  spawnSync('which', [program]).status === 0
    ? undefined
    : `${program} is not here (Debian: ${debianPackage})`;

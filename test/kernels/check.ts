/** A check of the kernel that it runs under, and what came of it. */

export interface Check {
  readonly name: string;
  /** Resolves with a few words for the table; rejects where the check failed. */
  readonly run: () => Promise<string>;
}

export interface Result {
  readonly name: string;
  readonly state: 'passed' | 'failed' | 'skipped';
  /** What the check found, or why it failed or was skipped; one line. */
  readonly detail: string;
}

/** Stands before a result in the output of the virtual machine. */
export const RESULT = 'RESULT ';

/** Thrown by a check that cannot be made under this kernel. */
export class Skipped extends Error {}

/** ms after which a check has failed: emulation takes about ten times as long as the machine itself. */
const LIMIT_MS = 240_000;

export async function resultOf({ name, run }: Check): Promise<Result> {
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error(`did not end within ${LIMIT_MS / 1000} s`)), LIMIT_MS).unref();
  });
  try {
    return { name, state: 'passed', detail: await Promise.race([run(), late]) };
  } catch (error) {
    const detail = (error as Error).message.trim().replaceAll(/\s*\n\s*/g, ' | ');
    return { name, state: error instanceof Skipped ? 'skipped' : 'failed', detail };
  }
}

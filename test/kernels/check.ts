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
  /** How long the check took. */
  readonly seconds: number;
}

/** Stand before the names of all checks, and before a result, in the output of the virtual machine. */
export const PLAN = 'PLAN ';
export const RESULT = 'RESULT ';

/** Thrown by a check that cannot be made under this kernel. */
export class Skipped extends Error {}

/** ms after which a check has failed: emulation takes about ten times as long as the machine itself. */
const LIMIT_MS = 360_000;

/** A check of something that several checks share. */
export interface SharedCheck<T> {
  readonly name: string;
  readonly run: (shared: T) => Promise<string>;
}

/** Returns checks of what `open` opens when the first of them runs; it is disposed of after the last one. */
export function sharing<T extends AsyncDisposable>(
  open: () => Promise<T>,
  checks: readonly SharedCheck<T>[],
): Check[] {
  let opened: Promise<T> | undefined;
  const shared = () => {
    opened ??= open();
    return opened;
  };
  const runLast = async ({ run }: SharedCheck<T>) => {
    await using last = await shared();
    return await run(last);
  };
  return checks.map((check) => ({
    name: check.name,
    run: async () => (check === checks.at(-1) ? runLast(check) : check.run(await shared())),
  }));
}

export async function resultOf({ name, run }: Check): Promise<Result> {
  const started = performance.now();
  const seconds = () => Math.round((performance.now() - started) / 1000);
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error(`did not end within ${LIMIT_MS / 1000} s`)), LIMIT_MS).unref();
  });
  try {
    const detail = await Promise.race([run(), late]);
    return { name, state: 'passed', detail, seconds: seconds() };
  } catch (error) {
    const detail = (error as Error).message.trim().replaceAll(/\s*\n\s*/g, ' | ');
    const state = error instanceof Skipped ? 'skipped' : 'failed';
    return { name, state, detail, seconds: seconds() };
  }
}

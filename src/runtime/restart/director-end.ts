/** Waits for the end of a director that was asked to stop. */
import { setTimeout as sleep } from 'node:timers/promises';
import { instancesIn, unixSockets } from '../../host/director-instances.ts';
import { LvsError } from '../../model/errors.ts';

const POLL_MS = 20;
/** A director that hangs is killed after 4 s. */
const END_TIMEOUT_MS = 10_000;

/** Resolves when the director of that name has ended. Throws LvsError if it does not. */
export async function directorEnd(instance: string): Promise<void> {
  const deadline = performance.now() + END_TIMEOUT_MS;
  while (instancesIn(unixSockets()).includes(instance)) {
    if (performance.now() > deadline)
      throw new LvsError(
        'UNAVAILABLE',
        `director ${instance}: has not ended after ${END_TIMEOUT_MS / 1000} s`,
      );
    await sleep(POLL_MS);
  }
}

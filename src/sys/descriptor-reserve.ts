/**
 * Keeps descriptors in reserve for the director itself, so that it can read the state of the host and start programs
 * while clients or checks have used up all others (EMFILE). Descriptors belong to the process, and so does the reserve.
 */
import { closeSync, openSync } from 'node:fs';

/** Descriptors in reserve: the pipes of a program that is started need eight. */
const RESERVED = 12;

const reserve: number[] = [];
let isOpen = false;
/** Calls of `withDescriptors` that run. */
let depth = 0;

/** Fills the reserve from now on. Dispose the result to give it up. */
export function openReserve(): Disposable {
  isOpen = true;
  fill();
  return {
    [Symbol.dispose]() {
      isOpen = false;
      release();
    },
  };
}

/** Refills the reserve, and returns whether no descriptor is left besides it. */
export function areDescriptorsExhausted(): boolean {
  if (!isOpen) return false;
  fill();
  try {
    closeSync(openSync('/dev/null', 'r'));
    return false;
  } catch {
    return true;
  }
}

/** Calls `work` while the reserve is free. */
export function withDescriptors<T>(work: () => T): T {
  if (depth === 0) release();
  depth++;
  try {
    return work();
  } finally {
    depth--;
    fill();
  }
}

function fill(): void {
  try {
    while (isOpen && depth === 0 && reserve.length < RESERVED) reserve.push(openSync('/dev/null', 'r'));
  } catch {
    // Exhausted: the next call tries again.
  }
}

function release(): void {
  for (const descriptor of reserve.splice(0)) closeSync(descriptor);
}

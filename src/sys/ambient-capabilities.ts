/** Keeps the ambient capabilities of this process (capabilities(7)) from a program that it starts. */
import { readFileSync } from 'node:fs';
import { loadSystem, type System } from './system.ts';
import { succeeded } from './system-call-error.ts';

/* include/uapi/linux/prctl.h */
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_RAISE = 2;
const PR_CAP_AMBIENT_CLEAR_ALL = 4;

/** Returns the numbers of the capabilities that every program inherits. */
function ambientCapabilities(): readonly number[] {
  const [, hex = '0'] = /^CapAmb:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1')) ?? [];
  return Array.from(BigInt(`0x${hex}`).toString(2))
    .reverse()
    .flatMap((bit, number) => (bit === '1' ? [number] : []));
}

/**
 * Resolves with a function that calls `start` while there are no ambient capabilities: the thread that starts a program
 * decides what it inherits. Rejects with SystemUnavailable where this process has some and cannot withdraw them.
 */
export async function withoutCapabilities(): Promise<<T>(start: () => T) => T> {
  const ambient = ambientCapabilities();
  if (ambient.length === 0) return (start) => start();
  const system = await loadSystem();
  return (start) => {
    change(system, PR_CAP_AMBIENT_CLEAR_ALL, 0);
    try {
      return start();
    } finally {
      for (const capability of ambient) change(system, PR_CAP_AMBIENT_RAISE, capability);
    }
  };
}

const change = (system: System, how: number, capability: number): number =>
  succeeded('prctl(PR_CAP_AMBIENT)', system.prctl(PR_CAP_AMBIENT, how, capability));

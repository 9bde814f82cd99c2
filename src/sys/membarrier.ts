/** Waits for grace periods of the kernel's RCU. */
import type { System } from './system.ts';
import { succeeded } from './system-call-error.ts';

/* Commands of membarrier(2), include/uapi/linux/membarrier.h. */
const QUERY = 0;
const GLOBAL = 1;

/**
 * Resolves after every reader of the kernel's RCU that ran at the time of the call, eBPF programs among them, has ended
 * (synchronize_rcu). It takes about 10 ms, sometimes more. Not the EXPEDITED commands: those order memory and do not wait.
 */
export async function gracePeriod(system: System): Promise<void> {
  succeeded('membarrier(GLOBAL)', await system.membarrier(GLOBAL));
}

/**
 * Returns the reason why grace periods are not available; undefined: they are. Kernels with nohz_full do not offer
 * them.
 */
export async function graceUnavailable(system: System): Promise<string | undefined> {
  const offered = await system.membarrier(QUERY);
  if (offered >= 0 && (offered & GLOBAL) !== 0) return undefined;
  return 'membarrier(GLOBAL): not supported: the kernel was built without CONFIG_MEMBARRIER, or runs with nohz_full';
}

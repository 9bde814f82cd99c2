/** Grace periods: waiting until everything that ran in the kernel when one asked has ended. */
import type { System } from './system.ts';
import { succeeded } from './system-call-error.ts';

/* Commands of membarrier(2), include/uapi/linux/membarrier.h. */
const QUERY = 0;
const GLOBAL = 1;

/**
 * Resolves after every reader of the kernel's RCU that ran at the time of the call, eBPF programs among them, has ended
 * (synchronize_rcu). About 10 ms, at times more. Not the EXPEDITED commands: those order memory and do not wait.
 */
export async function gracePeriod(system: System): Promise<void> {
  succeeded('membarrier(GLOBAL)', await system.membarrier(GLOBAL));
}

/** Returns why there are no grace periods here; undefined: there are. A kernel with nohz_full does not offer them. */
export async function graceUnavailable(system: System): Promise<string | undefined> {
  const offered = await system.membarrier(QUERY);
  if (offered >= 0 && (offered & GLOBAL) !== 0) return undefined;
  return 'membarrier(GLOBAL) is not offered: a kernel without CONFIG_MEMBARRIER, or one run with nohz_full';
}

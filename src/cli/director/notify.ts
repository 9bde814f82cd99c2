/** `lvs-director notify`: passes a report of keepalived about a VRRP instance to the running director. */
import { readFileSync } from 'node:fs';
import type { DirectorApi } from '../../control/director-api.ts';
import { LvsError } from '../../model/errors.ts';
import type { VrrpInstance } from '../../model/vrrp.ts';

/** Position of the start time after the name of the program in /proc/PID/stat (proc(5)). */
const START_TIME_FIELD = 20;

/**
 * Returns when this process was started, in ticks since the host's start: keepalived starts the programs of several reports
 * at once, and they may run in another order.
 */
function startTime(): number {
  const stat = readFileSync('/proc/self/stat', 'latin1');
  return Number(stat.slice(stat.lastIndexOf(')')).split(' ')[START_TIME_FIELD]);
}

/** Resolves when the director has taken the report. Throws LvsError if it does not run, or has a later report. */
export async function notify(instance: VrrpInstance, api: Pick<DirectorApi, 'apply'>): Promise<void> {
  const [outcome] = await api.apply([{ op: 'notify', instance, at: startTime() }]);
  if (outcome) throw new LvsError(outcome.code, outcome.message);
}

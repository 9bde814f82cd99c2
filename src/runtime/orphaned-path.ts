/** Removes a kernel path whose director was killed: its programs forward packets as long as pins keep them. */
import { Bpf } from '../ebpf/bpf.ts';
import { removeTapDevice } from '../io/tap-device.ts';
import { existingPins } from '../offload/pins.ts';
import { loadSystem } from '../sys/system.ts';
import { SystemCallError } from '../sys/system-call-error.ts';
import { TAP_NAME } from './offloading.ts';

/**
 * Resolves with the folder of the path that was removed; undefined: there is none in this network namespace, or its director
 * runs. `root`: the folder of all pins.
 */
export async function removeOrphanedPath(root: string): Promise<string | undefined> {
  const system = await loadSystem().catch(() => undefined);
  if (!system) return undefined;
  const pins = existingPins(new Bpf(system), root);
  try {
    if (!pins || !removeTapDevice(system, TAP_NAME)) return undefined;
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    return undefined;
  }
  pins.removeAll();
  return pins.folder;
}

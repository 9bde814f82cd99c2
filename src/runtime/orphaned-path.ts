/** Removes a kernel path whose director was killed: its programs forward packets as long as pins keep them. */
import { Bpf } from '../ebpf/bpf.ts';
import { removeTapDevice } from '../io/tap-device.ts';
import { existingPins } from '../offload/pins.ts';
import { loadSystem } from '../sys/system.ts';
import { SystemCallError } from '../sys/system-call-error.ts';
import { TAP_NAME } from './offloading.ts';

/**
 * Resolves with the folders of the paths that were removed: none where there are none in this network namespace, or where a
 * director runs. `roots`: folders of pins.
 */
export async function removeOrphanedPaths(roots: readonly string[]): Promise<string[]> {
  const system = await loadSystem().catch(() => undefined);
  if (!system) return [];
  const bpf = new Bpf(system);
  const all = roots.flatMap((root) => existingPins(bpf, root) ?? []);
  try {
    // Only its director can have the device open.
    if (all.length === 0 || !removeTapDevice(system, TAP_NAME)) return [];
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    return [];
  }
  for (const pins of all) pins.removeAll();
  return all.map(({ folder }) => folder);
}

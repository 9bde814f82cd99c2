/** Removes a kernel path whose director was killed: its programs forward packets as long as pins keep them. */
import { Bpf } from '../../ebpf/bpf.ts';
import { removeTapDevice } from '../../io/tap-device.ts';
import { existingPins, type Pins } from '../../offload/pins.ts';
import { loadSystem } from '../../sys/system.ts';
import { SystemCallError } from '../../sys/system-call-error.ts';
import { TAP_NAME } from '../kernel/offloading.ts';

/**
 * Resolves with the paths of this network namespace whose directors have ended; none where a director runs. Their programs go
 * on, without a device for upcalls. `roots`: folders of pins.
 */
export async function orphanedPaths(roots: readonly string[]): Promise<Pins[]> {
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
  return all;
}

/** As `orphanedPaths`, and removes the paths. Resolves with their folders. */
export async function removeOrphanedPaths(roots: readonly string[]): Promise<string[]> {
  const paths = await orphanedPaths(roots);
  for (const path of paths) path.removeAll();
  return paths.map(({ folder }) => folder);
}

/** Examines a kernel path that forwards packets without a director, and changes nothing. */
import { Bpf } from '../ebpf/bpf.ts';
import { BpfMap, mapOptions } from '../ebpf/map.ts';
import { instancesIn, unixSockets } from '../host/director-instances.ts';
import { systemTime } from '../host/system-time.ts';
import { loadSystem } from '../sys/system.ts';
import { SystemCallError } from '../sys/system-call-error.ts';
import { HEAD } from '../table/layout.ts';
import { SETTINGS, SETTINGS_BYTES } from '../table/record-layout.ts';
import { existingPins, type Pins } from './pins.ts';

/** Times in seconds. */
export interface LeftPath {
  readonly folder: string;
  readonly connections: number;
  /** Time since its director was alive; missing: an older version does not say. */
  readonly silent?: number;
  /** Times without a director after which it admits no new connection, and forwards nothing. */
  readonly orphan: number;
  readonly release?: number;
}

/** Resolves with the paths of this network namespace whose directors do not run. `roots`: folders of pins. */
export async function leftPaths(roots: readonly string[]): Promise<LeftPath[]> {
  if (instancesIn(unixSockets()).length > 0) return [];
  const system = await loadSystem().catch(() => undefined);
  if (!system) return [];
  const bpf = new Bpf(system);
  return roots.flatMap((root) => {
    const pins = existingPins(bpf, root);
    const path = pins && examine(bpf, pins);
    return path ? [path] : [];
  });
}

/** Returns undefined for a folder without arrays of a director. */
function examine(bpf: Bpf, pins: Pins): LeftPath | undefined {
  const settings = contents(bpf, pins, 'settings');
  const head = contents(bpf, pins, 'head');
  if (!settings || !head || settings.byteLength < SETTINGS_BYTES) return undefined;
  const word = (field: number) => settings.getUint32(field, true);
  const second = Math.max(1, word(SETTINGS.ticksPerSecond));
  const aliveAt = Number(settings.getBigUint64(SETTINGS.aliveAt, true));
  const passFrom = word(SETTINGS.passFrom);
  return {
    folder: pins.folder,
    connections: head.getUint32(HEAD.live, true),
    orphan: Math.round(word(SETTINGS.orphan) / second),
    ...(aliveAt > 0 && { silent: Math.max(0, (systemTime() - aliveAt) / 1000) }),
    ...(passFrom > 0 && { release: Math.round(((passFrom - word(SETTINGS.heartbeat)) >>> 0) / second) }),
  };
}

function contents(bpf: Bpf, pins: Pins, name: string): DataView | undefined {
  if (!pins.has(name)) return undefined;
  try {
    const descriptor = pins.open(name);
    using map = new BpfMap(bpf, mapOptions(bpf, descriptor), 1, descriptor);
    const value = map.options.keySize === 4 ? map.lookup(new Uint8Array(4)) : undefined;
    return value && new DataView(value.buffer, value.byteOffset, value.byteLength);
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    return undefined;
  }
}

/** Examines the connection table in memory files that a director has left, and changes nothing. */
import { readFileSync, statSync } from 'node:fs';
import type { System } from '../sys/system.ts';
import { HEAD } from '../table/layout.ts';
import { SETTINGS } from '../table/record-layout.ts';
import { instancesIn, unixSockets } from './director-instances.ts';
import { existingMemoryFiles, MEMORY_FOLDER } from './memory-files.ts';
import { systemTime } from './system-time.ts';

export interface LeftTable {
  readonly folder: string;
  readonly connections: number;
  /** Bytes of memory. */
  readonly bytes: number;
  /** Seconds since its director was alive; missing: it is not known. */
  readonly silent?: number;
}

/** Returns the table of this network namespace, if none of its directors runs. */
export function leftTable(system: System, root = MEMORY_FOLDER): LeftTable | undefined {
  if (instancesIn(unixSockets()).length > 0) return undefined;
  const files = existingMemoryFiles(system, root);
  if (!files) return undefined;
  try {
    const settings = readFileSync(files.pathOf('settings'));
    const aliveAt = Number(settings.readBigUInt64LE(SETTINGS.aliveAt));
    return {
      folder: files.folder,
      connections: readFileSync(files.pathOf('head')).readUInt32LE(HEAD.live),
      bytes: files.names.reduce((sum, name) => sum + statSync(files.pathOf(name)).size, 0),
      ...(aliveAt > 0 && { silent: Math.max(0, (systemTime() - aliveAt) / 1000) }),
    };
  } catch {
    // No file, or too short: no table.
    return undefined;
  }
}

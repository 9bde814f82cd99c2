/** The connection table of a director whose process forwards all packets, in files of memory that the next director takes over. */
import { ConnectionTable } from '../director/connections.ts';
import {
  existingMemoryFiles,
  MEMORY_FOLDER,
  type MemoryFiles,
  openMemoryFiles,
} from '../host/memory-files.ts';
import { PINS_FOLDERS } from '../host/pins-folders.ts';
import { LvsError } from '../model/errors.ts';
import { loadSystem, type System, SystemUnavailable } from '../sys/system.ts';
import { SystemCallError } from '../sys/system-call-error.ts';
import { KeptMemory } from '../table/kept-memory.ts';
import type { RegionName } from '../table/memory.ts';
import { MIN_TICK_MS, type SharedClock, Ticks } from '../table/ticks.ts';
import { UnfitMemory } from '../table/unfit-memory.ts';
import { adoptTable } from './adopted-table.ts';
import { reportAdopted, reportReplaced } from './adoption-report.ts';
import { KeptTable, writeNewHeader } from './kept-table.ts';
import type { Log } from './log.ts';
import { removeOrphanedPaths } from './orphaned-path.ts';
import { unpredictable } from './random.ts';
import { withTable } from './table-size.ts';

/** Arrays that only programs of the kernel have. */
const ABSENT: readonly RegionName[] = ['counters', 'nextHops'];
const NS_PER_MS = 1_000_000n;

export interface LiveTableOptions {
  /** The most connections of a new table. */
  readonly connections: number;
  readonly clock: () => number;
  readonly log: Log;
  /** Folder of all pins. */
  readonly pins: string;
  /** Default: MEMORY_FOLDER. */
  readonly root?: string;
}

/**
 * Resolves with the table, or undefined where none can outlive this process, which is logged. Removes the kernel path that a
 * killed director has left: its programs would forward packets in place of this one.
 */
export async function openLiveTable(options: LiveTableOptions): Promise<KeptTable | undefined> {
  const { log, pins, root = MEMORY_FOLDER } = options;
  for (const folder of await removeOrphanedPaths([...new Set([pins, ...PINS_FOLDERS])]))
    reportReplaced('path', folder, 'this director forwards packets without programs', log);
  let files: MemoryFiles | undefined;
  try {
    files = lockedFiles(await loadSystem(), root);
    return (await adopted(files, options)) ?? made(files, options);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    log('warning', 'memory-files-unavailable', {
      reason: error.message,
      effect: 'connections are lost when the director restarts',
    });
    files?.discard();
    files?.removeAll();
    return undefined;
  }
}

/** Reports whether the system refuses files, and not a fault of this program. */
const isRefusal = (error: unknown): error is Error =>
  error instanceof Error && ('code' in error || error instanceof SystemUnavailable);

/** Throws LvsError UNAVAILABLE where there are no files, or if another director has them. */
function lockedFiles(system: System, root: string): MemoryFiles {
  const files = openMemoryFiles(system, root);
  if (files.lock(system)) return files;
  throw new LvsError('UNAVAILABLE', `${files.folder}: in use by another director of this network namespace`);
}

/** Ticks of the host's monotonic clock, which all processes share. */
function hostClock(now: number): SharedClock {
  const host = process.hrtime.bigint() / NS_PER_MS / BigInt(MIN_TICK_MS);
  return { tickMs: MIN_TICK_MS, shift: 0, offset: BigInt(Math.floor(now / MIN_TICK_MS)) - host };
}

/** Takes over the table that a director has left; undefined: there is none, or it is not valid, which is logged. */
async function adopted(
  files: MemoryFiles,
  { connections, clock, log }: LiveTableOptions,
): Promise<KeptTable | undefined> {
  if (files.names.length === 0) return undefined;
  const began = clock();
  try {
    const memory = new KeptMemory(files, ABSENT);
    memory.open();
    const left = await adoptTable(memory, hostClock(clock()), 0);
    const { table, ticks } = left;
    const adoption = reportAdopted('table', left, { connections, ms: clock() - began }, log);
    return new KeptTable({ memory, ticks, table }, files, adoption);
  } catch (error) {
    if (!(error instanceof UnfitMemory || error instanceof SystemCallError)) throw error;
    reportReplaced('table', files.folder, error.message, log);
    files.discard();
    return undefined;
  }
}

function made(files: MemoryFiles, { connections, clock, log }: LiveTableOptions): KeptTable {
  const measured = hostClock(clock());
  const ticks = new Ticks(MIN_TICK_MS);
  const seed = Math.floor(unpredictable() * 2 ** 32);
  const memory = new KeptMemory(files, ABSENT);
  const table = withTable(connections, log, (limit) => new ConnectionTable({ limit, seed, memory, ticks }));
  writeNewHeader(memory, measured, { processors: 0, counted: 0 });
  return new KeptTable({ memory, ticks, table }, files, undefined);
}

/**
 * Resolves with the folder of the table that a killed director has left, which was removed; undefined: there is none in this
 * network namespace, or its director runs.
 */
export async function removeOrphanedTable(root = MEMORY_FOLDER): Promise<string | undefined> {
  const system = await loadSystem().catch(() => undefined);
  const files = system && existingMemoryFiles(system, root);
  if (!files?.lock(system!)) return undefined;
  files.removeAll();
  return files.folder;
}

/** Removes the table of a director without a kernel path, whose connections this one does not have. */
export async function removeUnusedTable(log: Log): Promise<void> {
  const folder = await removeOrphanedTable();
  if (folder === undefined) return;
  reportReplaced('table', folder, 'this director has a kernel path', log);
}

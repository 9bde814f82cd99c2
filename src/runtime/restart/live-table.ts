/** The connection table of a director whose process forwards all packets, in files of memory that the next director takes over. */
import { ConnectionTable } from '../../director/connections.ts';
import {
  existingMemoryFiles,
  MEMORY_FOLDER,
  type MemoryFiles,
  openMemoryFiles,
} from '../../host/memory-files.ts';
import { PINS_FOLDERS } from '../../host/pins-folders.ts';
import { LvsError } from '../../model/errors.ts';
import type { Pins } from '../../offload/pins.ts';
import { loadSystem, type System, SystemUnavailable } from '../../sys/system.ts';
import { SystemCallError } from '../../sys/system-call-error.ts';
import { MIN_TICK_MS, Ticks } from '../../table/ticks.ts';
import { UnfitMemory } from '../../table/unfit-memory.ts';
import type { Log } from '../log.ts';
import { unpredictable } from '../random.ts';
import { withTable } from '../table-size.ts';
import { adoptTable } from './adopted-table.ts';
import { reportAdopted, reportReplaced } from './adoption-report.ts';
import { carryFromPath } from './carried-table.ts';
import { KeptTable, writeNewHeader } from './kept-table.ts';
import { hostClock, liveMemory } from './live-memory.ts';
import { orphanedPaths } from './orphaned-path.ts';

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
 * Resolves with the table, or undefined where none can outlive this process, which is logged. Takes over the table of a kernel path
 * that a director has left, and removes the path: its programs would forward packets in place of this one.
 */
export async function openLiveTable(options: LiveTableOptions): Promise<KeptTable | undefined> {
  const { log, pins, root = MEMORY_FOLDER } = options;
  const paths = await orphanedPaths([...new Set([pins, ...PINS_FOLDERS])]);
  let files: MemoryFiles | undefined;
  let lost = 'this director forwards packets without programs';
  let isCarried = false;
  try {
    const system = await loadSystem();
    files = lockedFiles(system, root);
    if (paths.length > 0) {
      const problem = await carry(system, paths[0]!, files, options);
      isCarried = problem === undefined;
      lost = problem ?? lost;
    }
    return (await adopted(files, options)) ?? made(files, options);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    log('warning', 'memory-files-unavailable', {
      reason: error.message,
      effect: 'connections are lost when the director restarts',
    });
    files?.discard();
    files?.removeAll();
    isCarried = false;
    return undefined;
  } finally {
    for (const path of paths) {
      const { folder } = path;
      path.removeAll();
      if (isCarried && path === paths[0])
        log('info', 'path-removed', { folder, effect: 'none: its table was carried over' });
      else reportReplaced('path', folder, lost, log);
    }
  }
}

/** Copies the table of a path to files. Resolves with the reason why it was not valid; undefined: it is in the files. */
async function carry(
  system: System,
  path: Pins,
  files: MemoryFiles,
  { clock }: LiveTableOptions,
): Promise<string | undefined> {
  try {
    await carryFromPath(system, path, files, clock);
    return undefined;
  } catch (error) {
    if (!(error instanceof UnfitMemory || error instanceof SystemCallError)) throw error;
    files.discard();
    return error.message;
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

/** Takes over the table that a director has left; undefined: there is none, or it is not valid, which is logged. */
async function adopted(
  files: MemoryFiles,
  { connections, clock, log }: LiveTableOptions,
): Promise<KeptTable | undefined> {
  if (files.names.length === 0) return undefined;
  const began = clock();
  try {
    const memory = liveMemory(files);
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
  const memory = liveMemory(files);
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

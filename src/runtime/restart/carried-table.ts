/** Carries the connection table over a change of the datapath, between programs of the kernel and memory files. */
import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bpf } from '../../ebpf/bpf.ts';
import { existingMemoryFiles, MEMORY_FOLDER, type MemoryFiles } from '../../host/memory-files.ts';
import { measureJiffies } from '../../offload/jiffies.ts';
import type { Pins } from '../../offload/pins.ts';
import type { System } from '../../sys/system.ts';
import { addToMeters, carryTable } from '../../table/carry.ts';
import { type Header, writeHeader } from '../../table/header.ts';
import type { TableMemory } from '../../table/memory.ts';
import { COUNTERS_BYTES, DEFERRED, SETTINGS, SETTINGS_BYTES } from '../../table/record-layout.ts';
import { settingsWords } from '../../table/settings-record.ts';
import { type SharedClock, Ticks } from '../../table/ticks.ts';
import { assertFit } from '../../table/unfit-memory.ts';
import { adoptTable, bootId, openLeft } from './adopted-table.ts';
import { hostClock, liveMemory } from './live-memory.ts';

/** Time after which no program makes a row any more that it had begun before, ms. */
const DEFER_MS = 20;

/** A clock, and what programs count. */
type Kind = Pick<Header, 'processors' | 'counted'> & { readonly clock: SharedClock };

/**
 * Fills `memory`, for programs of the kernel, with the table that a director without them has left in memory files. Resolves with
 * the files, which have to be removed once the table is in use; undefined: there are none, or their director runs. `now`: ms of
 * this director's clock. Throws UnfitMemory if the files are not valid, SystemCallError and LvsError where memory is short.
 */
export async function carryFromFiles(
  system: System,
  memory: TableMemory,
  kind: Kind,
  now: () => number,
  root = MEMORY_FOLDER,
): Promise<MemoryFiles | undefined> {
  const files = existingMemoryFiles(system, root);
  if (!files || files.names.length === 0 || !files.lock(system)) return undefined;
  try {
    const from = liveMemory(files);
    from.open();
    const left = await adoptTable(from, hostClock(now()), 0);
    const toTicks = new Ticks(kind.clock.tickMs);
    carryTable({ from, to: memory, fromTicks: left.ticks, toTicks, now: now(), isForPrograms: true });
    memory.reserve('counters', kind.processors * kind.counted * COUNTERS_BYTES);
    addToMeters(memory, new BigUint64Array(), { processors: 0, counted: 0 });
    complete(memory, kind, left.header.identity);
    return files;
  } catch (error) {
    files.unlock();
    throw error;
  }
}

/**
 * Fills memory files with the table of a kernel path whose director has ended. The path forwards packets of known connections
 * meanwhile, and afterwards, until it is removed. `now`: ms of this director's clock. Throws UnfitMemory if the path is not valid, Error
 * where memory is short.
 */
export async function carryFromPath(
  system: System,
  pins: Pins,
  files: MemoryFiles,
  now: () => number,
): Promise<void> {
  const bpf = new Bpf(system);
  const processors = cpus().length;
  const from = openLeft(bpf, pins);
  // Rows stay where they are while they are copied: packets of new connections are dropped, and sent again.
  settingsWords(from)[SETTINGS.deferred >> 2]! |= DEFERRED.CARRIED;
  await sleep(DEFER_MS);
  const left = await adoptTable(from, await measureJiffies(bpf, now), processors);
  const { counted, identity } = left.header;
  const bytes = processors * counted * COUNTERS_BYTES;
  assertFit(from.isSized('counters', bytes), () => 'array counters: another size');
  files.discard();
  const to = liveMemory(files);
  const clock = hostClock(now());
  const toTicks = new Ticks(clock.tickMs);
  carryTable({ from, to, fromTicks: left.ticks, toTicks, now: now(), isForPrograms: false });
  const counters = from.reserve('counters', bytes);
  addToMeters(to, new BigUint64Array(counters.buffer, counters.offset, bytes / 8), { processors, counted });
  complete(to, { clock, processors: 0, counted: 0 }, identity);
}

/** Writes the header of a table that is complete now. It keeps its identity: the record of the applied file is that of it. */
function complete(memory: TableMemory, { clock, processors, counted }: Kind, identity: number): void {
  const { buffer, offset } = memory.reserve('settings', SETTINGS_BYTES);
  writeHeader(
    new Uint8Array(buffer, offset, SETTINGS_BYTES),
    { clockShift: clock.shift, clockOffset: clock.offset, processors, counted, identity },
    bootId(),
  );
  settingsWords(memory)[SETTINGS.complete >> 2] = 1;
}

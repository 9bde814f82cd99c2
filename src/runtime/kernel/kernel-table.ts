/** The connection table of a kernel path: a new one, that of a former director, or that of one without programs. */
import { cpus } from 'node:os';
import { ConnectionTable } from '../../director/connections.ts';
import type { Bpf } from '../../ebpf/bpf.ts';
import { MEMORY_FOLDER, type MemoryFiles } from '../../host/memory-files.ts';
import { KernelMemory } from '../../offload/kernel-memory.ts';
import { NextHops } from '../../offload/next-hops.ts';
import type { Pins } from '../../offload/pins.ts';
import { SystemCallError } from '../../sys/system-call-error.ts';
import { ProcessorCounters } from '../../table/counters.ts';
import { LAYOUT_VERSION } from '../../table/layout.ts';
import { MAX_RECORDS } from '../../table/record-layout.ts';
import { type SharedClock, Ticks } from '../../table/ticks.ts';
import { UnfitMemory } from '../../table/unfit-memory.ts';
import { unpredictable } from '../random.ts';
import { type AdoptedKernelTable, adoptKernelTable, openLeft } from '../restart/adopted-table.ts';
import { reportAdopted, reportReplaced } from '../restart/adoption-report.ts';
import { carryFromFiles } from '../restart/carried-table.ts';
import { type Adoption, writeNewHeader } from '../restart/kept-table.ts';
import { withTable } from '../table-size.ts';
import type { KernelTable, OffloadingOptions } from './offloading.ts';

/** Maximum number of counters' records of all processors together: 64 MiB. */
const MAX_COUNTERS = 1 << 20;
/** Errors that have other causes than the memory that was left: the next attempt may succeed. */
const SHORTAGES: ReadonlySet<string> = new Set(['ENOMEM', 'ENFILE', 'EMFILE', 'EAGAIN', 'EPERM']);

export interface OpenedTable {
  readonly table: Omit<KernelTable, 'clients' | 'records'>;
  readonly processors: number;
  /** Destinations that programs forward packets to have smaller numbers. */
  readonly counted: number;
  readonly clock: SharedClock;
  /** Another director has left it. */
  readonly adopted?: Adoption;
  /** Its memory files, to be removed once the table is in use. */
  readonly files?: MemoryFiles;
}

export interface OpeningTable {
  readonly bpf: Bpf;
  readonly options: OffloadingOptions;
  readonly pins: Pins | undefined;
  /** Ticks of this director's clock. */
  readonly measured: SharedClock;
}

/** Makes a table. Throws SystemCallError and LvsError. */
export function newTable({ bpf, options, pins, measured: clock }: OpeningTable): OpenedTable {
  const { connections, log } = options;
  const memory = new KernelMemory(bpf, pins);
  const ticks = new Ticks(clock.tickMs);
  const seed = Math.floor(unpredictable() * 2 ** 32);
  const table = withTable(connections, log, (limit) => new ConnectionTable({ limit, seed, memory, ticks }));
  const counting = countingHere();
  writeNewHeader(memory, clock, counting);
  const counters = new ProcessorCounters(memory, counting.processors, counting.counted);
  return { table: { memory, ticks, table, counters, nextHops: new NextHops(memory) }, ...counting, clock };
}

/**
 * Takes over the table of a killed director. Resolves with undefined if it is not valid: its path was removed, which is logged.
 * Throws SystemCallError where memory is short: the path is as it was.
 */
export async function adoptedTable({
  bpf,
  options: { connections, clock, log },
  pins,
  measured,
}: OpeningTable & { readonly pins: Pins }): Promise<OpenedTable | undefined> {
  const began = clock();
  try {
    const left = await adoptKernelTable(openLeft(bpf, pins), measured, cpus().length);
    const { header } = left;
    const adopted = reportAdopted('path', left, { connections, ms: clock() - began }, log);
    if (header.version !== LAYOUT_VERSION)
      log('info', 'layout-completed', {
        found: header.version,
        ...(header.isPartial && {
          missing: 'counters of packets that the former director itself forwarded',
        }),
      });
    return openedFrom(left, adopted);
  } catch (error) {
    if (!isUnfit(error)) throw error;
    reportReplaced('path', pins.folder, error.message, log);
    pins.clear();
    return undefined;
  }
}

/**
 * Carries the table of a director over that had no programs. Resolves with undefined if there is none, or none that is valid,
 * which is logged. Throws SystemCallError and LvsError where memory is short: it is as it was.
 */
export async function carriedTable({
  bpf,
  options: { connections, clock, log },
  pins,
  measured,
}: OpeningTable): Promise<OpenedTable | undefined> {
  // Without pins a start that fails would lose it.
  if (!pins) return undefined;
  const began = clock();
  let files: MemoryFiles | undefined;
  try {
    const memory = new KernelMemory(bpf, pins);
    const counting = countingHere();
    files = await carryFromFiles(bpf.system, memory, { ...counting, clock: measured }, clock);
    if (!files) return undefined;
    const left = await adoptKernelTable(memory, measured, counting.processors);
    const adopted = reportAdopted('files', left, { connections, ms: clock() - began }, log);
    return { ...openedFrom(left, adopted), files };
  } catch (error) {
    files?.unlock();
    if (!isUnfit(error)) throw error;
    reportReplaced('files', MEMORY_FOLDER, error.message, log);
    pins.clear();
    return undefined;
  }
}

const openedFrom = (left: AdoptedKernelTable<KernelMemory>, adopted: Adoption): OpenedTable => {
  const { processors, counted } = left.header;
  return { table: left, processors, counted, clock: left.clock, adopted };
};

function countingHere(): { readonly processors: number; readonly counted: number } {
  const processors = cpus().length;
  return { processors, counted: Math.min(MAX_RECORDS, Math.floor(MAX_COUNTERS / processors)) };
}

/** Reports whether what was left is not valid, and not only out of reach. */
const isUnfit = (error: unknown): error is Error =>
  error instanceof UnfitMemory || (error instanceof SystemCallError && !SHORTAGES.has(error.code));

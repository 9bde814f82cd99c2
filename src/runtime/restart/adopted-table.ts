/** Takes over the table of a killed director, which programs of the kernel work on, if it is valid. */

import { readFileSync } from 'node:fs';
import { checkRules } from '../../director/adoption.ts';
import { ConnectionTable } from '../../director/connections.ts';
import type { Bpf } from '../../ebpf/bpf.ts';
import { KernelMemory } from '../../offload/kernel-memory.ts';
import { NextHops } from '../../offload/next-hops.ts';
import type { Pins } from '../../offload/pins.ts';
import type { Adopted } from '../../table/adopted-rows.ts';
import { slotBytes } from '../../table/control-slots.ts';
import { ProcessorCounters } from '../../table/counters.ts';
import { type LeftHeader, readHeader } from '../../table/header.ts';
import type { RegionName, TableMemory } from '../../table/memory.ts';
import {
  checkCounters,
  checkDestinations,
  checkMeters,
  checkNextHops,
  isDestination,
} from '../../table/record-checks.ts';
import {
  COUNTERS_BYTES,
  DESTINATION,
  METERS_BYTES,
  NEXT_HOP_BYTES,
  SETTINGS_BYTES,
} from '../../table/record-layout.ts';
import { Records } from '../../table/records.ts';
import { type SharedClock, Ticks } from '../../table/ticks.ts';
import { assertFit } from '../../table/unfit-memory.ts';
import type { Address } from '../../wire/address.ts';

export interface AdoptedTable<Memory> {
  readonly memory: Memory;
  readonly header: LeftHeader;
  readonly ticks: Ticks;
  /** The clock that the killed director had. */
  readonly clock: SharedClock;
  readonly table: ConnectionTable;
  readonly found: Adopted;
}

/** A table that programs of the kernel work on. */
export interface AdoptedKernelTable<Memory> extends AdoptedTable<Memory> {
  readonly counters: ProcessorCounters;
  readonly nextHops: NextHops;
}

/** Returns the random id of this boot. */
export const bootId = (): Uint8Array =>
  Buffer.from(readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').replaceAll(/[-\n]/g, ''), 'hex');

/** Memory that another process has left. */
export interface LeftMemory extends TableMemory {
  /** Reports whether the array has exactly so many bytes. */
  isSized(name: RegionName, bytes: number): boolean;
  has(name: RegionName): boolean;
}

/** Opens the arrays that pins keep. Throws UnfitMemory and SystemCallError. */
export function openLeft(bpf: Bpf, pins: Pins): KernelMemory {
  const memory = new KernelMemory(bpf, pins);
  memory.open();
  return memory;
}

/**
 * Examines memory that another process has left, while its programs work on it, if it has any, and repairs what its end left
 * half done. `measured`: the table's clock by that of this director. `processors`: whose programs count; 0: there are none.
 * Throws UnfitMemory.
 */
export async function adoptTable<Memory extends LeftMemory>(
  memory: Memory,
  measured: SharedClock,
  processors: number,
): Promise<AdoptedTable<Memory>> {
  const settings = memory.reserve('settings', SETTINGS_BYTES);
  const header = readHeader(new Uint8Array(settings.buffer, settings.offset, SETTINGS_BYTES), bootId());
  const { limit, secrets, ticksPerSecond, clockShift, clockOffset } = header;
  assertFit(header.processors === processors, () => `${header.processors} processors: ${processors} now`);
  assertFit(
    clockShift === measured.shift && ticksPerSecond === Math.round(1000 / measured.tickMs),
    () => 'settings: another clock',
  );
  // Ticks of the programs and of this director differ by the time between the starts of both.
  const origin = Number(BigInt.asIntN(32, (clockOffset - measured.offset) >> BigInt(clockShift)));
  const ticks = new Ticks(measured.tickMs, origin);
  assertFit(header.isPartial || memory.has('templates'), () => 'array templates: missing');
  const table = new ConnectionTable({ limit, seed: 0, secrets, memory, ticks });
  assertFit(table.homes === header.homes, () => `settings: ${header.homes} homes`);
  const { records } = table;
  records.reserveAll();
  checkDestinations(records, limit);
  readyMeters(memory, header);
  assertFit(
    !memory.has('controls') || memory.isSized('controls', slotBytes(limit)),
    () => 'array controls: another size',
  );
  const found = await table.adopt((number) => isDestination(records, number));
  checkRules(memory, records, ticks);
  return { memory, header, ticks, clock: { ...measured, offset: clockOffset }, table, found };
}

/** As `adoptTable`, with what programs of the kernel count and forward by. */
export async function adoptKernelTable<Memory extends LeftMemory>(
  memory: Memory,
  measured: SharedClock,
  processors: number,
): Promise<AdoptedKernelTable<Memory>> {
  const adopted = await adoptTable(memory, measured, processors);
  const { header, table, found } = adopted;
  const countersBytes = processors * header.counted * COUNTERS_BYTES;
  assertFit(memory.isSized('counters', countersBytes), () => 'array counters: another size');
  const { buffer, offset } = memory.reserve('counters', countersBytes);
  checkCounters(new Uint32Array(buffer, offset, countersBytes / 4));
  const hops = new Records(memory, 'nextHops', NEXT_HOP_BYTES);
  hops.reserveAll();
  checkNextHops(hops);
  const counters = new ProcessorCounters(memory, processors, header.counted);
  const nextHops = new NextHops(memory);
  nextHops.adopt(users(table, found));
  return { ...adopted, counters, nextHops };
}

/** Checks the meters, or begins them where the former layout had none: counters are those of the programs then. */
function readyMeters(memory: LeftMemory, { isPartial }: LeftHeader): void {
  assertFit(isPartial || memory.has('meters'), () => 'array meters: missing');
  assertFit(
    !memory.has('meters') || memory.isSized('meters', METERS_BYTES),
    () => 'array meters: another size',
  );
  const { buffer, offset } = memory.reserve('meters', METERS_BYTES);
  const numbers = new Float64Array(buffer, offset, METERS_BYTES / 8);
  if (isPartial) numbers.fill(0);
  else checkMeters(numbers);
}

/** Returns the addresses by the number of the next hop that packets to them take. */
function users(table: ConnectionTable, { hopUsers }: Adopted): (number: number) => Address | undefined {
  const { records } = table;
  const byHop = new Map<number, number>();
  for (let index = 1; index < records.capacity; index++) {
    const hop = isDestination(records, index) ? records.half(index, DESTINATION.nextHop) : 0;
    if (hop !== 0) byHop.set(hop, index);
  }
  return (number) => {
    const into = new Uint32Array(4);
    const destination = byHop.get(number);
    if (destination !== undefined) return records.copyAddress(destination, into);
    const row = hopUsers[number]! - 1;
    return row < 0 || !table.has(row) ? undefined : table.copyCaddr(row, into);
  };
}

/** The settings' record as the header of memory that another process has left: what it takes to read the rest. */

import { LAYOUT_VERSION } from './layout.ts';
import { SETTINGS } from './record-layout.ts';
import { MAX_CONNECTIONS } from './rows.ts';
import { layoutCharacters } from './settings-record.ts';
import { MAX_TICK_MS, MIN_TICK_MS } from './ticks.ts';
import { assertFit } from './unfit-memory.ts';

/**
 * The layout before this one, which directors take over: it had no meters, nor the fields `passFrom` and `aliveAt`, and no
 * words of templates themselves (CONTROL). Its
 * programs work on the same rows and records meanwhile.
 */
export const FORMER_LAYOUT = { version: 6, digest: '9d17fb20' } as const;

const SECRET_WORDS = 13;
const MAX_SHIFT = 6;
const BOOT_ID_BYTES = 16;

/** What a director has written once. */
export interface Header {
  /** The most rows in use. */
  readonly limit: number;
  readonly homes: number;
  readonly secrets: Uint32Array<ArrayBuffer>;
  readonly ticksPerSecond: number;
  readonly clockShift: number;
  readonly clockOffset: bigint;
  /** Blocks of counters, and records of each. */
  readonly processors: number;
  readonly counted: number;
  readonly identity: number;
}

export interface LeftHeader extends Header {
  /** The former layout has to be completed. */
  readonly isFormer: boolean;
  /** When its director was alive last, ms of CLOCK_MONOTONIC; 0: not known. */
  readonly aliveAt: number;
}

/** Writes what programs and the next director need beside the settings. `bootId`: 16 bytes. */
export function writeHeader(
  bytes: Uint8Array<ArrayBuffer>,
  header: Pick<Header, 'clockShift' | 'clockOffset' | 'processors' | 'counted' | 'identity'>,
  bootId: Uint8Array,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  view.setUint32(SETTINGS.clockShift, header.clockShift, true);
  view.setBigInt64(SETTINGS.clockOffset, header.clockOffset, true);
  view.setUint32(SETTINGS.processors, header.processors, true);
  view.setUint32(SETTINGS.counted, header.counted, true);
  view.setUint32(SETTINGS.identity, header.identity, true);
  bytes.set(bootId.subarray(0, BOOT_ID_BYTES), SETTINGS.bootId);
}

/** Returns the header of a record. Throws UnfitMemory if another layout wrote it, or if it is not complete. */
export function readHeader(bytes: Uint8Array<ArrayBuffer>, bootId: Uint8Array): LeftHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const word = (field: number) => view.getUint32(field, true);
  const version = word(SETTINGS.version);
  const isFormer = version === FORMER_LAYOUT.version;
  assertFit(
    isFormer || version === LAYOUT_VERSION,
    () => `layout ${version}: expected ${LAYOUT_VERSION} or ${FORMER_LAYOUT.version}`,
  );
  const characters = Buffer.from(bytes.subarray(SETTINGS.digest, SETTINGS.digest + 8)).toString('latin1');
  assertFit(
    characters === (isFormer ? FORMER_LAYOUT.digest : layoutCharacters()),
    () => 'layout: another digest than that of this version',
  );
  assertFit(word(SETTINGS.complete) === 1, () => 'settings: its director has not started completely');
  const boot = bytes.subarray(SETTINGS.bootId, SETTINGS.bootId + BOOT_ID_BYTES);
  assertFit(Buffer.compare(boot, bootId.subarray(0, BOOT_ID_BYTES)) === 0, () => 'settings: of another boot');
  const header = {
    isFormer,
    limit: word(SETTINGS.limit),
    homes: word(SETTINGS.homes),
    secrets: new Uint32Array(bytes.slice(SETTINGS.secrets, SETTINGS.secrets + 4 * SECRET_WORDS).buffer),
    ticksPerSecond: word(SETTINGS.ticksPerSecond),
    clockShift: word(SETTINGS.clockShift),
    clockOffset: view.getBigInt64(SETTINGS.clockOffset, true),
    processors: word(SETTINGS.processors),
    counted: word(SETTINGS.counted),
    identity: word(SETTINGS.identity),
    aliveAt: isFormer ? 0 : Number(view.getBigUint64(SETTINGS.aliveAt, true)),
  };
  const { limit, ticksPerSecond, clockShift } = header;
  assertFit(limit >= 1 && limit <= MAX_CONNECTIONS, () => `settings: ${limit} connections`);
  const tick = 1000 / ticksPerSecond;
  assertFit(
    tick >= MIN_TICK_MS - 1 && tick <= MAX_TICK_MS + 1,
    () => `settings: ${ticksPerSecond} ticks per second`,
  );
  assertFit(clockShift <= MAX_SHIFT, () => `settings: shift ${clockShift}`);
  assertFit(
    header.secrets.some((each) => each !== 0),
    () => 'settings: no secrets',
  );
  return header;
}

/** The settings' record as the header of memory that another process has left: what it takes to read the rest. */

import { LAYOUT_VERSION } from './layout.ts';
import { SETTINGS } from './record-layout.ts';
import { MAX_CONNECTIONS } from './row-search.ts';
import { layoutCharacters } from './settings-record.ts';
import { MAX_TICK_MS, MIN_TICK_MS } from './ticks.ts';
import { assertFit } from './unfit-memory.ts';

/** A layout of an earlier version that directors take over: its programs work on the same rows and records meanwhile. */
interface FormerLayout {
  readonly version: number;
  /** Its first 8 characters. */
  readonly digest: string;
  /** It has no meters, no words of templates (CONTROL), and neither `passFrom` nor `aliveAt`: all of them begin empty. */
  readonly isPartial: boolean;
}

/** A layout whose rows or records differ is none of these. Version 7 was in use for hours only. */
export const FORMER_LAYOUTS: readonly FormerLayout[] = [
  // Without the number of identifications. Services had a field that stated whether they have tunnels.
  { version: 9, digest: '2bb7d93d', isPartial: false },
  // Without the flag BYPASSED of services.
  { version: 8, digest: '568e6ca2', isPartial: false },
  { version: 6, digest: '9d17fb20', isPartial: true },
];

const EXPECTED = [LAYOUT_VERSION, ...FORMER_LAYOUTS.map(({ version }) => version)].join(', ');

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
  /** Version of the layout that was found. */
  readonly version: number;
  /** What this layout has and the one that was found lacks has to be completed. */
  readonly isPartial: boolean;
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
  const characters = Buffer.from(bytes.subarray(SETTINGS.digest, SETTINGS.digest + 8)).toString('latin1');
  const isCurrent = version === LAYOUT_VERSION;
  const former = FORMER_LAYOUTS.find((each) => each.version === version);
  assertFit(isCurrent || former !== undefined, () => `layout ${version}: expected ${EXPECTED}`);
  assertFit(
    characters === (isCurrent ? layoutCharacters() : former!.digest),
    () => 'layout: another digest than that of this version',
  );
  const isPartial = former?.isPartial === true;
  assertFit(word(SETTINGS.complete) === 1, () => 'settings: its director has not started completely');
  const boot = bytes.subarray(SETTINGS.bootId, SETTINGS.bootId + BOOT_ID_BYTES);
  assertFit(Buffer.compare(boot, bootId.subarray(0, BOOT_ID_BYTES)) === 0, () => 'settings: of another boot');
  const header = {
    version,
    isPartial,
    limit: word(SETTINGS.limit),
    homes: word(SETTINGS.homes),
    secrets: new Uint32Array(bytes.slice(SETTINGS.secrets, SETTINGS.secrets + 4 * SECRET_WORDS).buffer),
    ticksPerSecond: word(SETTINGS.ticksPerSecond),
    clockShift: word(SETTINGS.clockShift),
    clockOffset: view.getBigInt64(SETTINGS.clockOffset, true),
    processors: word(SETTINGS.processors),
    counted: word(SETTINGS.counted),
    identity: word(SETTINGS.identity),
    aliveAt: isPartial ? 0 : Number(view.getBigUint64(SETTINGS.aliveAt, true)),
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

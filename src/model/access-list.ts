/** Lists of clients that may not, or may in any case, begin connections. Plain JSON. */
import type { ServiceAddress } from './service.ts';

/** An entry of the allow list wins over all entries of the deny list. */
export type ListKind = 'deny' | 'allow';

/** An address or a prefix in a list. */
export interface AccessEntry {
  readonly list: ListKind;
  /** Missing: of all services. */
  readonly service?: ServiceAddress;
  /** Canonical: see parsePrefix. */
  readonly prefix: string;
  /** Path of the file that has it; missing: the configuration file. */
  readonly file?: string;
}

/** An entry of the deny list that a command made. */
export interface DeniedByCommand {
  readonly prefix: string;
  /** Missing: for all services. */
  readonly service?: ServiceAddress;
  /** Wall-clock time of its end, ms since the epoch; missing: until undeny. */
  readonly until?: number;
  /** Connections that exist go on. */
  readonly newOnly?: true;
}

/** Numbers of entries. */
export interface AccessCounts {
  /** Of the configuration file and the files that it names. */
  readonly deny: number;
  readonly allow: number;
  /** Of the deny list, made by commands. */
  readonly commanded: number;
}

/** Largest number of entries of files, and of those that commands made. */
export const MAX_FILE_ENTRIES = 500_000;
export const MAX_COMMANDED_ENTRIES = 10_000;

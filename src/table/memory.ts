/** Where the connection table's arrays live: memory of this process, or memory that programs of the kernel map, too. */

/** One array: where it begins in a buffer. */
export interface Region {
  readonly buffer: ArrayBuffer;
  /** A multiple of 64 where the array holds rows or records, so that none of them lies across cache lines. */
  readonly offset: number;
}

/** The arrays of a table; each of them is a separate map in the kernel. */
export type RegionName =
  | 'rows'
  | 'order'
  | 'templates'
  | 'children'
  | 'spilled'
  | 'head'
  | 'destinations'
  | 'services'
  | 'lists'
  | 'nextHops'
  | 'settings'
  | 'counters'
  | 'meters'
  | 'controls';

export interface TableMemory {
  /**
   * Reserves `bytes` bytes of zeros for the array of that name. An array grows by being reserved again: its owner copies
   * it, and does not use the former one any more. The same region, which has room for more, may be returned. Throws an Error where there is not enough memory.
   */
  reserve(name: RegionName, bytes: number): Region;
  /** Reports whether an array of that name was reserved; missing where another process never leaves arrays. */
  has?(name: RegionName): boolean;
}

const CACHE_LINE = 64;
/** A large block of glibc's malloc begins 16 bytes after a page, and V8 offers no other. */
const AFTER_PAGE = 16;

/** Memory of this process: only the pages that were written to are resident. */
export const ordinaryMemory: TableMemory = {
  reserve: (_name, bytes) => {
    const offset = CACHE_LINE - AFTER_PAGE;
    return { buffer: new ArrayBuffer(bytes + offset), offset };
  },
};

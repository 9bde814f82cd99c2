/** Maps memory that can be passed to the kernel: it never moves, and is zeroed each time it is lent. */
import type { Address, System } from './system.ts';
import { succeeded } from './system-call-error.ts';

/* include/uapi/asm-generic/mman-common.h and mman.h */
const PROT_READ_WRITE = 0x1 | 0x2;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_ANONYMOUS = 0x20;
/** The largest page size of supported machines. */
const PAGE_BYTES = 65_536;

/** A block of memory: its address for the kernel, and its bytes for this process. */
export interface Block {
  readonly address: Address;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
}

function blockAt(buffer: ArrayBuffer, base: Address, offset: number, length: number): Block {
  return {
    address: base + offset,
    bytes: new Uint8Array(buffer, offset, length),
    view: new DataView(buffer, offset, length),
  };
}

const inPages = (length: number): number => Math.ceil(length / PAGE_BYTES) * PAGE_BYTES;

/** Maps new memory for the lifetime of the process. */
export function allocate(system: System, length: number): Block {
  const address = succeeded(
    'mmap',
    system.mmap(inPages(length), PROT_READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1),
  );
  return blockAt(system.view(address, length), address, 0, length);
}

/** Maps the memory behind a descriptor, shared with the kernel, for the lifetime of the process. */
export function share(system: System, descriptor: number, length: number): Block {
  // A mapping past the end of the object is refused, so it is not rounded up: the kernel rounds by its own pages.
  const address = succeeded('mmap', system.mmap(length, PROT_READ_WRITE, MAP_SHARED, descriptor));
  return blockAt(system.view(address, length), address, 0, length);
}

/** Lends blocks for the duration of a call, last in, first out. */
export class Arena {
  readonly #memory: Block;
  #top = 0;

  constructor(system: System, length: number) {
    this.#memory = allocate(system, length);
  }

  /** Lends a block of zeros, aligned to 8 bytes, while `use` runs. */
  lend<Result>(length: number, use: (block: Block) => Result): Result {
    const from = this.#top;
    const { address, bytes } = this.#memory;
    if (from + length > bytes.length)
      throw new RangeError(`arena: ${length} bytes requested: ${bytes.length - from} available`);
    this.#top = from + Math.ceil(length / 8) * 8;
    bytes.fill(0, from, from + length);
    try {
      return use(blockAt(bytes.buffer, address, from, length));
    } finally {
      this.#top = from;
    }
  }
}

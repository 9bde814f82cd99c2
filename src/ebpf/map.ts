/** Maps: memory that programs and processes share, accessed by key or, where mapped, by address. */
import { type Block, share } from '../sys/memory.ts';
import { type Bpf, refused, setName, setUint64 } from './bpf.ts';

/** Types (enum bpf_map_type in include/uapi/linux/bpf.h). */
export const MAP_TYPES = {
  hash: 1,
  array: 2,
  programArray: 3,
  perCpuArray: 6,
  lruHash: 9,
  lpmTrie: 11,
} as const;
export type MapType = keyof typeof MAP_TYPES;

/** BPF_F_MMAPABLE: the values can be mapped into memory; arrays only. Requires Linux 5.5. */
const MMAPABLE = 1 << 10;
/** BPF_F_NO_PREALLOC, which tries require. */
const NO_PREALLOCATION = 1;
/** Error of include/uapi/asm-generic/errno-base.h. */
const ENOENT = 2;

/* Offsets in union bpf_attr: creation, one element, batches. */
const CREATE = { type: 0, keySize: 4, valueSize: 8, maxEntries: 12, flags: 16, name: 28, size: 72 } as const;
const ELEMENT = { map: 0, key: 8, value: 16, flags: 24, size: 32 } as const;
const BATCH = { from: 0, to: 8, keys: 16, values: 24, count: 32, map: 36, size: 56 } as const;

/** Information about a map: offsets in union bpf_attr and in struct bpf_map_info. */
const INFO = { descriptor: 0, length: 4, into: 8, size: 16 } as const;
const MAP_INFO = { type: 0, keySize: 8, valueSize: 12, entries: 16, flags: 20, size: 24 } as const;

export interface MapOptions {
  readonly type: MapType;
  /** Bytes. */
  readonly keySize: number;
  readonly valueSize: number;
  readonly entries: number;
  readonly name?: string;
  /** Makes an array whose values `mapped` returns. */
  readonly mapped?: boolean;
}

/** Returns the options that a map was made with, the name apart. Throws SystemCallError. */
export function mapOptions(bpf: Bpf, descriptor: number): MapOptions {
  return bpf.arena.lend(MAP_INFO.size, ({ address, view }) => {
    bpf.call('OBJ_GET_INFO_BY_FD', INFO.size, (attributes) => {
      attributes.setUint32(INFO.descriptor, descriptor, true);
      attributes.setUint32(INFO.length, MAP_INFO.size, true);
      setUint64(attributes, INFO.into, address);
    });
    const word = (field: number) => view.getUint32(field, true);
    const type = (Object.keys(MAP_TYPES) as MapType[]).find(
      (each) => MAP_TYPES[each] === word(MAP_INFO.type),
    );
    return {
      type: type ?? 'hash',
      keySize: word(MAP_INFO.keySize),
      valueSize: word(MAP_INFO.valueSize),
      entries: word(MAP_INFO.entries),
      mapped: (word(MAP_INFO.flags) & MMAPABLE) !== 0,
    };
  });
}

export class BpfMap implements Disposable {
  readonly options: MapOptions;
  readonly descriptor: number;
  readonly #bpf: Bpf;
  readonly #valueSize: number;

  /**
   * `processors`: number of values that a per-CPU map has for a key. `descriptor`: of a map that was made with the options,
   * default: makes one. Throws SystemCallError.
   */
  constructor(bpf: Bpf, options: MapOptions, processors = 1, descriptor?: number) {
    const { type, keySize, valueSize, entries, name = '', mapped = false } = options;
    this.#bpf = bpf;
    this.options = options;
    this.#valueSize = type === 'perCpuArray' ? Math.ceil(valueSize / 8) * 8 * processors : valueSize;
    this.descriptor =
      descriptor ??
      bpf.call('MAP_CREATE', CREATE.size, (attributes) => {
        attributes.setUint32(CREATE.type, MAP_TYPES[type], true);
        attributes.setUint32(CREATE.keySize, keySize, true);
        attributes.setUint32(CREATE.valueSize, valueSize, true);
        attributes.setUint32(CREATE.maxEntries, entries, true);
        attributes.setUint32(
          CREATE.flags,
          (mapped ? MMAPABLE : 0) | (type === 'lpmTrie' ? NO_PREALLOCATION : 0),
          true,
        );
        setName(attributes, CREATE.name, name);
      });
  }

  /** Maps all values of a map that was made with `mapped`; values are aligned to 8 bytes. Throws SystemCallError. */
  mapped(): Block {
    const { valueSize, entries } = this.options;
    return share(this.#bpf.system, this.descriptor, Math.ceil(valueSize / 8) * 8 * entries);
  }

  /** Returns a copy of the value, or undefined if the key is missing. Throws SystemCallError. */
  lookup(key: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
    return this.#bpf.arena.lend(this.#valueSize, (value) => {
      const result = this.#element('MAP_LOOKUP_ELEM', key, value.address);
      if (result === -ENOENT) return undefined;
      if (result < 0) throw refused('MAP_LOOKUP_ELEM', result);
      return value.bytes.slice();
    });
  }

  /** Adds or replaces a value. Throws SystemCallError: E2BIG if the map is full. */
  update(key: Uint8Array, value: Uint8Array): void {
    this.#bpf.lendCopy(value, ({ address }) => {
      const result = this.#element('MAP_UPDATE_ELEM', key, address);
      if (result < 0) throw refused('MAP_UPDATE_ELEM', result);
    });
  }

  /** Removes a key; returns false if it was missing. Throws SystemCallError. */
  delete(key: Uint8Array): boolean {
    const result = this.#element('MAP_DELETE_ELEM', key, 0);
    if (result < 0 && result !== -ENOENT) throw refused('MAP_DELETE_ELEM', result);
    return result >= 0;
  }

  #element(
    command: 'MAP_LOOKUP_ELEM' | 'MAP_UPDATE_ELEM' | 'MAP_DELETE_ELEM',
    key: Uint8Array,
    value: number,
  ): number {
    if (key.length !== this.options.keySize)
      throw new RangeError(`key: ${key.length} bytes: expected ${this.options.keySize}`);
    return this.#bpf.lendCopy(key, (block) =>
      this.#bpf.try(command, ELEMENT.size, (attributes) => {
        attributes.setUint32(ELEMENT.map, this.descriptor, true);
        setUint64(attributes, ELEMENT.key, block.address);
        setUint64(attributes, ELEMENT.value, value);
      }),
    );
  }

  /** Writes many elements at once; keys and values are concatenated. Throws SystemCallError. */
  updateBatch(keys: Uint8Array, values: Uint8Array): void {
    const count = keys.length / this.options.keySize;
    this.#bpf.lendCopy(keys, (k) =>
      this.#bpf.lendCopy(values, (v) => {
        this.#bpf.call('MAP_UPDATE_BATCH', BATCH.size, (attributes) => {
          setUint64(attributes, BATCH.keys, k.address);
          setUint64(attributes, BATCH.values, v.address);
          attributes.setUint32(BATCH.count, count, true);
          attributes.setUint32(BATCH.map, this.descriptor, true);
        });
      }),
    );
  }

  /** Visits all elements, reads `batch` at a time, removes them with `remove`. The arrays are valid during a call. */
  forEach(
    visit: (key: Uint8Array, value: Uint8Array) => void,
    { batch = 1024, remove = false }: { readonly batch?: number; readonly remove?: boolean } = {},
  ): void {
    const { keySize } = this.options;
    const valueSize = this.#valueSize;
    const command = remove ? 'MAP_LOOKUP_AND_DELETE_BATCH' : 'MAP_LOOKUP_BATCH';
    const { arena } = this.#bpf;
    // The position of the next batch takes as many bytes as a key, at least 4.
    arena.lend(Math.max(8, keySize), (place) =>
      arena.lend(batch * keySize, (keys) =>
        arena.lend(batch * valueSize, (values) => {
          let count = 0;
          for (let first = true, result = 0; result >= 0; first = false) {
            result = this.#bpf.try(
              command,
              BATCH.size,
              (attributes) => {
                setUint64(attributes, BATCH.from, first ? 0 : place.address);
                setUint64(attributes, BATCH.to, place.address);
                setUint64(attributes, BATCH.keys, keys.address);
                setUint64(attributes, BATCH.values, values.address);
                attributes.setUint32(BATCH.count, batch, true);
                attributes.setUint32(BATCH.map, this.descriptor, true);
              },
              (attributes) => {
                count = attributes.getUint32(BATCH.count, true);
              },
            );
            // ENOENT: this was the last batch.
            if (result < 0 && result !== -ENOENT) throw refused(command, result);
            for (let i = 0; i < count; i++)
              visit(
                keys.bytes.subarray(i * keySize, (i + 1) * keySize),
                values.bytes.subarray(i * valueSize, (i + 1) * valueSize),
              );
          }
        }),
      ),
    );
  }

  /** Closes the descriptor; programs that use the map keep the map. */
  [Symbol.dispose](): void {
    this.#bpf.system.close(this.descriptor);
  }
}

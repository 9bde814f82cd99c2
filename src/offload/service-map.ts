/** The map of services in the kernel, a copy of the director's services. */
import type { Bpf } from '../ebpf/bpf.ts';
import { BpfMap } from '../ebpf/map.ts';
import { SERVICE_KEY, SERVICE_VALUE } from './layout.ts';
import { type ServedChange, ServiceKeySet } from './services.ts';

/** Keys that the map has room for: each service and each NAT destination takes about four. */
const MAX_ENTRIES = 65_536;

export class ServiceMap {
  readonly descriptor: number;
  readonly #map: BpfMap;
  readonly #keys = new ServiceKeySet();
  /** Keys that the kernel refused: tried again with the next change. */
  #missing = new Map<string, number>();

  constructor(bpf: Bpf) {
    this.#map = new BpfMap(bpf, {
      type: 'hash',
      name: 'lvs_services',
      keySize: SERVICE_KEY,
      valueSize: SERVICE_VALUE,
      entries: MAX_ENTRIES,
    });
    this.descriptor = this.#map.descriptor;
  }

  /** Includes a change. Throws SystemCallError: E2BIG if the map is full; the other keys are set then. */
  change(change: ServedChange): void {
    const value = new Uint8Array(SERVICE_VALUE);
    const wanted = new Map([...this.#missing, ...this.#keys.change(change)]);
    this.#missing = new Map();
    let failure: unknown;
    // Keys that are not needed any more make room.
    for (const [key, flags] of [...wanted].sort(([, a], [, b]) => Math.sign(a) - Math.sign(b))) {
      try {
        if (flags === 0) this.#map.delete(Buffer.from(key, 'hex'));
        else {
          new DataView(value.buffer).setUint32(0, flags, true);
          this.#map.update(Buffer.from(key, 'hex'), value);
        }
      } catch (error) {
        failure = error;
        this.#missing.set(key, flags);
      }
    }
    if (failure) throw failure;
  }
}

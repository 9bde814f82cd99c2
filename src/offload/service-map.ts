/** The map of services in the kernel, kept as the director's services are. */
import type { Bpf } from '../ebpf/bpf.ts';
import { BpfMap } from '../ebpf/map.ts';
import { SERVICE_KEY, SERVICE_VALUE } from './layout.ts';
import { type Served, serviceKeys } from './services.ts';

/** Keys at most: four or so for each service and each translated destination. */
const ENTRIES = 65_536;

export class ServiceMap {
  readonly descriptor: number;
  readonly #map: BpfMap;
  #keys: ReadonlyMap<string, number> = new Map();

  constructor(bpf: Bpf) {
    this.#map = new BpfMap(bpf, {
      type: 'hash',
      name: 'lvs_services',
      keySize: SERVICE_KEY,
      valueSize: SERVICE_VALUE,
      entries: ENTRIES,
    });
    this.descriptor = this.#map.descriptor;
  }

  /** From now on these are the director's. Throws SystemCallError, such as E2BIG. */
  set(served: Served): void {
    const wanted = serviceKeys(served);
    const value = new Uint8Array(SERVICE_VALUE);
    for (const [key, flags] of wanted) {
      if (this.#keys.get(key) === flags) continue;
      new DataView(value.buffer).setUint32(0, flags, true);
      this.#map.update(Buffer.from(key, 'hex'), value);
    }
    for (const key of this.#keys.keys()) if (!wanted.has(key)) this.#map.delete(Buffer.from(key, 'hex'));
    this.#keys = wanted;
  }
}

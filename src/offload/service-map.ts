/** The map of services in the kernel, a copy of the director's services. */
import type { Bpf } from '../ebpf/bpf.ts';
import { BpfMap } from '../ebpf/map.ts';
import { SERVICE_KEY, SERVICE_VALUE } from './layout.ts';
import { type Served, serviceKeys } from './services.ts';

/** Keys that the map has room for: each service and each NAT destination takes about four. */
const MAX_ENTRIES = 65_536;

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
      entries: MAX_ENTRIES,
    });
    this.descriptor = this.#map.descriptor;
  }

  /** Makes the map's keys those of these services. Throws SystemCallError: E2BIG if the map is full. */
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

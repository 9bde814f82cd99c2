/** The map of services in the kernel, a copy of the director's services. */
import type { Bpf } from '../ebpf/bpf.ts';
import { BpfMap } from '../ebpf/map.ts';
import { SERVICE_KEY, SERVICE_VALUE } from './layout.ts';
import { type ServedChange, ServiceKeySet, type ServiceNumbers, serviceValue } from './services.ts';

/** Keys that the map has room for: each service and each NAT destination takes about four. */
const MAX_ENTRIES = 65_536;

export class ServiceMap {
  readonly descriptor: number;
  readonly #map: BpfMap;
  readonly #keys = new ServiceKeySet();
  #numbers: ServiceNumbers = new Map();
  /** Keys that the kernel refused: tried again with the next change. */
  #missing = new Set<string>();

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
    this.#write(this.#keys.change(change).keys());
  }

  /** Replaces the numbers of services. Throws as `change` does. */
  number(numbers: ServiceNumbers): void {
    const former = this.#numbers;
    this.#numbers = numbers;
    const changed = [...new Set([...former.keys(), ...numbers.keys()])].filter(
      (key) => former.get(key) !== numbers.get(key),
    );
    this.#write(changed);
  }

  #write(changed: Iterable<string>): void {
    const wanted = [...new Set([...this.#missing, ...changed])].map(
      (key) => [key, this.#keys.flags(key)] as const,
    );
    this.#missing = new Set();
    let failure: unknown;
    // Keys that are not needed any more make room.
    for (const [key, flags] of wanted.sort(([, a], [, b]) => Math.sign(a) - Math.sign(b))) {
      try {
        if (flags === 0) this.#map.delete(Buffer.from(key, 'hex'));
        else this.#map.update(Buffer.from(key, 'hex'), serviceValue(flags, this.#numbers.get(key) ?? 0));
      } catch (error) {
        failure = error;
        this.#missing.add(key);
      }
    }
    if (failure) throw failure;
  }
}

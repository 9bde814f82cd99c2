/** The filter of this host: its program, attached to the cluster's interface, and what the agent sets in it. */
import type { Bpf } from '../../ebpf/bpf.ts';
import { BpfMap } from '../../ebpf/map.ts';
import { Attachments } from '../../offload/attach.ts';
import { tc } from '../../offload/hooks.ts';
import type { Block } from '../../sys/memory.ts';
import { PLACES } from '../places.ts';
import { COUNTERS, type CounterName, type FilterOptions, filterCode } from './program.ts';

const NS_PER_MS = 1e6;

export class ClusterFilter implements Disposable {
  readonly #maps: readonly BpfMap[];
  readonly #attachments: Attachments;
  readonly #accepts: Block;
  readonly #lease: Block;
  readonly #counters: Block;

  /** Throws VerifierError, SystemCallError. */
  constructor(bpf: Bpf, options: Omit<FilterOptions, 'maps'>, tcx = true) {
    const array = (name: string, valueSize: number, entries: number) =>
      new BpfMap(bpf, { type: 'array', name, keySize: 4, valueSize, entries, mapped: true });
    const accepts = array('lvs_accepts', PLACES, options.cluster.rules.length);
    const lease = array('lvs_lease', 8, 1);
    const counters = array('lvs_counters', 8 * COUNTERS.length, 1);
    this.#maps = [accepts, lease, counters];
    this.#accepts = accepts.mapped();
    this.#lease = lease.mapped();
    this.#counters = counters.mapped();
    const maps = {
      accepts: accepts.descriptor,
      lease: lease.descriptor,
      counters: counters.descriptor,
    };
    const code = filterCode({ ...options, maps });
    this.#attachments = new Attachments(bpf, { hook: tc.name, role: 'cluster', code, tcx });
  }

  /** Attaches the program unless it is attached, and returns what was needed. Throws SystemCallError. */
  attach(interfaceIndex: number): 'unchanged' | 'attached' | 'restored' {
    return this.#attachments.attach(interfaceIndex);
  }

  /** Sets the places of all rules that this host accepts: 1 for each. In effect when it returns. */
  accept(rules: readonly Uint8Array[]): void {
    for (const [rule, places] of rules.entries()) this.#accepts.bytes.set(places, rule * PLACES);
  }

  /** Lets the host accept new connections until then, ms of the monotonic clock (process.hrtime). */
  lease(until: number): void {
    this.#lease.view.setBigUint64(0, BigInt(Math.max(0, Math.round(until * NS_PER_MS))), true);
  }

  /** Returns the packets by what the program did with them. */
  counters(): Record<CounterName, number> {
    const { view } = this.#counters;
    return Object.fromEntries(
      COUNTERS.map((name, i) => [name, Number(view.getBigUint64(8 * i, true))]),
    ) as Record<CounterName, number>;
  }

  /** Detaches the program: the host answers nothing of the cluster any more. */
  [Symbol.dispose](): void {
    this.#attachments[Symbol.dispose]();
    for (const map of this.#maps) map[Symbol.dispose]();
  }
}

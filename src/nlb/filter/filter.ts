/** The filter of this host: its programs, attached to the cluster's interface, and what the agent sets in them. */
import type { Bpf } from '../../ebpf/bpf.ts';
import { BpfMap } from '../../ebpf/map.ts';
import { Attachments } from '../../offload/attach.ts';
import { tc } from '../../offload/hooks.ts';
import type { Block } from '../../sys/memory.ts';
import type { GroupsByRule, OwnPlaces } from '../own-places.ts';
import { GROUPS, PLACES } from '../places.ts';
import {
  COUNTERS,
  type CounterName,
  type FilterOptions,
  RECENT_BYTES,
  RECENT_SHIFT,
  SUSPENDED,
  TIMES,
  TIMES_BYTES,
} from './maps.ts';
import { filterCode } from './program.ts';
import { resetCode } from './resets.ts';

const NS_PER_MS = 1e6;

export class ClusterFilter implements Disposable {
  readonly #maps: readonly BpfMap[];
  readonly #attachments: Attachments;
  readonly #resets: Attachments;
  readonly #accepts: Block;
  readonly #times: Block;
  readonly #recent: Block | undefined;
  readonly #sticky: readonly (readonly [rule: number, seconds: number])[];
  readonly #counters: Block;

  /** Throws VerifierError, SystemCallError. */
  constructor(bpf: Bpf, options: Omit<FilterOptions, 'maps'>, tcx = true) {
    const array = (name: string, valueSize: number, entries: number) =>
      new BpfMap(bpf, { type: 'array', name, keySize: 4, valueSize, entries, mapped: true });
    const accepts = array('lvs_accepts', PLACES, options.cluster.rules.length);
    const times = array('lvs_times', TIMES_BYTES, 1);
    const counters = array('lvs_counters', 8 * COUNTERS.length, 1);
    const { rules } = options.cluster;
    this.#sticky = [...rules.entries()].flatMap(([i, { stickiness }]) =>
      stickiness > 0 ? [[i, stickiness] as const] : [],
    );
    const recent =
      this.#sticky.length > 0 ? array('lvs_recent', rules.length * RECENT_BYTES * GROUPS, 1) : undefined;
    this.#maps = [accepts, times, counters, ...(recent ? [recent] : [])];
    this.#accepts = accepts.mapped();
    this.#times = times.mapped();
    this.#counters = counters.mapped();
    this.#recent = recent?.mapped();
    const maps = {
      accepts: accepts.descriptor,
      times: times.descriptor,
      counters: counters.descriptor,
      ...(recent && { recent: recent.descriptor }),
    };
    const code = filterCode({ ...options, maps });
    this.#attachments = new Attachments(bpf, { hook: tc.name, role: 'cluster', code, tcx });
    this.#resets = new Attachments(bpf, {
      hook: tc.name,
      role: 'resets',
      direction: 'egress',
      code: resetCode({ cluster: options.cluster, maps }),
      tcx,
    });
  }

  /** Attaches the program unless it is attached, and returns what was needed. Throws SystemCallError. */
  attach(interfaceIndex: number): 'unchanged' | 'attached' | 'restored' {
    const resets = this.#resets.attach(interfaceIndex);
    const packets = this.#attachments.attach(interfaceIndex);
    return resets === 'restored' ? resets : packets;
  }

  /** Sets the places that this host accepts. In effect when it returns. */
  accept({ rules, endsAt, beginsAt }: OwnPlaces): void {
    // Until the places are written, those with earlier times are accepted by no host.
    this.#setTime('ends', 0);
    this.#setTime('begins', Number.MAX_SAFE_INTEGER / NS_PER_MS);
    for (const [rule, places] of rules.entries()) this.#accepts.bytes.set(places, rule * PLACES);
    this.#setTime('ends', endsAt);
    this.#setTime('begins', beginsAt);
  }

  /** Lets the host accept new connections until then, ms of the monotonic clock (process.hrtime). */
  lease(until: number): void {
    this.#setTime('lease', until);
  }

  /** Lets the host ignore all packets of these rules, those of connections included. */
  suspend(rules: Iterable<number>): void {
    const bits = [...rules].reduce((sum, rule) => sum | (1 << rule), 0);
    this.#times.view.setUint32(SUSPENDED, bits, true);
  }

  #setTime(name: keyof typeof TIMES, ms: number): void {
    this.#times.view.setBigUint64(TIMES[name], BigInt(Math.max(0, Math.round(ms * NS_PER_MS))), true);
  }

  /** Returns the groups of places that had clients within the stickiness of their rules. `now`: ms of the same clock. */
  recent(now: number): GroupsByRule {
    const units = (ms: number) => (ms * NS_PER_MS) / 2 ** RECENT_SHIFT;
    return new Map(
      this.#sticky.map(([rule, seconds]) => {
        const since = Math.floor(units(now - 1000 * seconds));
        const groups = Uint8Array.from({ length: GROUPS }, (_, group) => {
          const seen = this.#recent!.view.getUint32(RECENT_BYTES * (rule * GROUPS + group), true);
          return seen > 0 && seen >= since ? 1 : 0;
        });
        return [rule, groups];
      }),
    );
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
    this.#resets[Symbol.dispose]();
    for (const map of this.#maps) map[Symbol.dispose]();
  }
}

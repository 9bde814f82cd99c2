/** What the keys of a cluster say, as records. Values that are none are counted, and left out. */
import type { KeyValue } from '../etcd/answers.ts';
import type { ClusterMember, ClusterNodeState } from '../model/cluster.ts';
import type { Keys } from './keys.ts';
import {
  type ConfigPointer,
  type Meta,
  memberOf,
  metaOf,
  type Note,
  noteOf,
  pointerOf,
  type Slot,
  slotNameOf,
  slotOf,
} from './records.ts';

export interface ClusterView {
  readonly meta: Meta | undefined;
  readonly config: ConfigPointer | undefined;
  /** By the names of directors. */
  readonly nodes: ReadonlyMap<string, Note>;
  readonly members: ReadonlyMap<string, ClusterMember>;
  readonly paused: ReadonlyMap<string, Note>;
  readonly evicted: ReadonlyMap<string, Note>;
  /** Generations that a director has rejected while they spread. */
  readonly halted: ReadonlySet<number>;
  /** Directors that announce groups of VIPs, by `GROUP/PLACE`. */
  readonly slots: ReadonlyMap<string, Slot>;
  /** Keys with values that are no records, at most 1000. */
  readonly invalid: readonly string[];
}

/** Keys with invalid values that are named. */
const MAX_INVALID = 1000;

/** Records of one kind, by what follows the prefix of their keys. */
interface Kind<T> {
  readonly prefix: string;
  readonly records: Map<string, T>;
  readonly of: (value: Buffer, name: string) => T | undefined;
}

/** Reads keys that have changed, and no others: a cluster may have many. */
export class ViewReader {
  readonly #keys: Keys;
  readonly #nodes: Kind<Note>;
  readonly #members: Kind<ClusterMember>;
  readonly #paused: Kind<Note>;
  readonly #evicted: Kind<Note>;
  readonly #slots: Kind<Slot>;
  readonly #halted = new Set<number>();
  readonly #invalid = new Set<string>();
  #meta: Meta | undefined;
  #config: ConfigPointer | undefined;

  constructor(keys: Keys) {
    const kind = <T>(prefix: string, of: Kind<T>['of']): Kind<T> => ({ prefix, records: new Map(), of });
    this.#keys = keys;
    this.#nodes = kind(keys.node(''), noteOf);
    this.#members = kind(keys.member(''), (value, name) => {
      const member = memberOf(value);
      return member?.node === name ? member : undefined;
    });
    this.#paused = kind(keys.paused(''), noteOf);
    this.#evicted = kind(keys.evicted(''), noteOf);
    this.#slots = kind(keys.slots, (value, name) => (slotNameOf(name) ? slotOf(value) : undefined));
  }

  /** Returns the view after a change of these keys. `values`: all keys under `state/`. Maps of earlier views change, but for members. */
  read(values: Pick<ReadonlyMap<string, KeyValue>, 'get'>, changed: Iterable<string>): ClusterView {
    for (const key of changed) this.#take(key, values.get(key)?.value);
    const invalid: string[] = [];
    for (const key of this.#invalid) if (invalid.push(key) === MAX_INVALID) break;
    return {
      ...{ meta: this.#meta, config: this.#config, halted: this.#halted, invalid },
      nodes: this.#nodes.records,
      members: new Map(this.#members.records),
      paused: this.#paused.records,
      evicted: this.#evicted.records,
      slots: this.#slots.records,
    };
  }

  #take(key: string, value: Buffer | undefined): void {
    const halts = `${this.#keys.state}halts/`;
    if (key === this.#keys.meta) this.#meta = this.#record(key, value, metaOf);
    else if (key === this.#keys.config) this.#config = this.#record(key, value, pointerOf);
    else if (key.startsWith(halts)) {
      const generation = Number(key.slice(halts.length));
      if (value) this.#halted.add(generation);
      else this.#halted.delete(generation);
    } else {
      this.#put(this.#nodes, key, value);
      this.#put(this.#members, key, value);
      this.#put(this.#paused, key, value);
      this.#put(this.#evicted, key, value);
      this.#put(this.#slots, key, value);
    }
  }

  #put<T>({ prefix, records, of }: Kind<T>, key: string, value: Buffer | undefined): void {
    if (!key.startsWith(prefix)) return;
    const name = key.slice(prefix.length);
    const record = this.#record(key, value, (content) => of(content, name));
    if (record === undefined) records.delete(name);
    else records.set(name, record);
  }

  #record<T>(key: string, value: Buffer | undefined, of: (value: Buffer) => T | undefined): T | undefined {
    const record = value && of(value);
    if (value && record === undefined) this.#invalid.add(key);
    else this.#invalid.delete(key);
    return record;
  }
}

/** `values`: all keys under `state/`. */
export const viewOf = (keys: Keys, values: ReadonlyMap<string, KeyValue>): ClusterView =>
  new ViewReader(keys).read(values, values.keys());

/** Directors that are listed. */
const MAX_NODES = 1000;

/** Returns the directors in the order of their names; one that was evicted is listed until it joins again. */
export function nodesOf({ nodes, members, paused, evicted }: ClusterView): readonly ClusterNodeState[] {
  const stateOf = (node: string): ClusterNodeState['state'] => {
    if (evicted.has(node)) return 'evicted';
    if (paused.has(node)) return 'paused';
    const member = members.get(node);
    return member === undefined || member.state === 'left' ? 'offline' : 'online';
  };
  return [...new Set([...nodes.keys(), ...evicted.keys()])]
    .slice(0, MAX_NODES)
    .sort(new Intl.Collator('en', { numeric: true }).compare)
    .map((node) => ({ node, state: stateOf(node) }));
}

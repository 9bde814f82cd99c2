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
  /** Keys with values that are no records. */
  readonly invalid: readonly string[];
}

/** `values`: all keys under `state/`. */
export function viewOf(keys: Keys, values: ReadonlyMap<string, KeyValue>): ClusterView {
  const invalid: string[] = [];
  const read = <T>(key: string, of: (value: Buffer) => T | undefined): T | undefined => {
    const stored = values.get(key);
    const record = stored && of(stored.value);
    if (stored && record === undefined) invalid.push(key);
    return record;
  };
  const below = <T>(prefix: string, of: (value: Buffer) => T | undefined): Map<string, T> => {
    const found = new Map<string, T>();
    for (const key of values.keys()) {
      if (!key.startsWith(prefix)) continue;
      const record = read(key, of);
      if (record !== undefined) found.set(key.slice(prefix.length), record);
    }
    return found;
  };
  const members = below(keys.member(''), memberOf);
  for (const [name, member] of members)
    if (member.node !== name) {
      members.delete(name);
      invalid.push(keys.member(name));
    }
  const slots = below(keys.slots, slotOf);
  for (const name of [...slots.keys()])
    if (slotNameOf(name) === undefined) {
      slots.delete(name);
      invalid.push(keys.slots + name);
    }
  const halts = keys.state.concat('halts/');
  return {
    meta: read(keys.meta, metaOf),
    config: read(keys.config, pointerOf),
    nodes: below(keys.node(''), noteOf),
    members,
    paused: below(keys.paused(''), noteOf),
    evicted: below(keys.evicted(''), noteOf),
    slots,
    halted: new Set(
      [...values.keys()].flatMap((key) => (key.startsWith(halts) ? Number(key.slice(halts.length)) : [])),
    ),
    invalid,
  };
}

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

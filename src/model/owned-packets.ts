/** Names the packets that the director handles and that the host must not: those of services and their destinations. */
import type { DestinationAddress, ForwardingMethodName } from './destination.ts';
import type { Protocol, ServiceAddress } from './service.ts';

/** A destination as far as it decides which packets the director handles. */
export interface OwnedDestination extends DestinationAddress {
  readonly method: ForwardingMethodName;
}

/** A service (its requests), or one destination of it (the replies of that destination). */
export interface OwnedPart {
  readonly service: ServiceAddress;
  readonly destination?: OwnedDestination;
}

/** The parts that are new, and those that are released. No part is added twice without being removed in between. */
export interface OwnedChange {
  readonly added: readonly OwnedPart[];
  readonly removed: readonly OwnedPart[];
}

export const NO_CHANGE: OwnedChange = { added: [], removed: [] };

const PROTOCOLS_OF_MARKS: readonly Protocol[] = ['tcp', 'udp', 'sctp'];

/** Returns the protocols of the packets of a service's destinations: all that have ports, with a mark. */
export const protocolsOf = (service: ServiceAddress): readonly Protocol[] =>
  'mark' in service ? PROTOCOLS_OF_MARKS : [service.protocol];

/** Counts a part that needs the key (1), or does not any more (-1), and returns how many parts need it; 0 has no entry. */
export function countPart<Key>(parts: Map<Key, number>, key: Key, step: 1 | -1): number {
  const count = (parts.get(key) ?? 0) + step;
  if (count > 0) parts.set(key, count);
  else parts.delete(key);
  return count;
}

/** Parts of a portion: following them takes some milliseconds. */
const PORTION = 200;

/** Yields a change in portions, one at least, additions first. */
export function* portionsOf({ added, removed }: OwnedChange): Generator<OwnedChange> {
  for (let at = 0; at < added.length; at += PORTION)
    yield { added: added.slice(at, at + PORTION), removed: [] };
  for (let at = 0; at < removed.length; at += PORTION)
    yield { added: [], removed: removed.slice(at, at + PORTION) };
  if (added.length + removed.length === 0) yield NO_CHANGE;
}

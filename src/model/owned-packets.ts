/** Names the packets that the director handles and that the host must not: those of services and their destinations. */
import type { DestinationAddress, ForwardingMethodName } from './destination.ts';
import type { ServiceAddress } from './service.ts';

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

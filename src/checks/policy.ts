/** When the destinations of a service suffice, and what serves its clients otherwise. */
import type { Check } from '../model/check.ts';
import type { DestinationAddress, DestinationOptions } from '../model/destination.ts';
import type { Notify } from '../model/notify.ts';
import type { ServiceAddress } from '../model/service.ts';

/** A destination that is used while its service has lost the quorum. */
export interface SorryServer {
  readonly destination: DestinationAddress;
  readonly options: DestinationOptions;
  readonly check?: Check;
  /** Whether it is in the rules with weight 0 while it is not used. */
  readonly inhibit: boolean;
}

export interface Policy {
  readonly service: ServiceAddress;
  /** Sum of the weights of destinations that are up, below which the quorum is lost; 0 always loses it. */
  readonly quorum: number;
  readonly hysteresis: number;
  readonly sorry: readonly SorryServer[];
  /** Endpoints of destinations that leave the rules when they are out of service; others have weight 0. */
  readonly removes: ReadonlySet<string>;
  /** Programs for events of the service and its destinations, and of single destinations by their endpoints. */
  readonly notify?: Notify;
  readonly destinationNotify?: ReadonlyMap<string, Notify>;
}

/** Reports whether more than the last destination, or a sorry server, depends on the quorum. */
export const hasQuorum = ({ quorum, sorry }: Policy): boolean => quorum > 1 || sorry.length > 0;

/**
 * Reports whether a service loses, or has not gained, its quorum: as keepalived, it is lost below `quorum` less
 * `hysteresis` and without any weight, and gained at `quorum` plus `hysteresis`. `wasLost`: the last decision;
 * undefined before the first.
 */
export function isQuorumLost(
  sum: number,
  { quorum, hysteresis }: Pick<Policy, 'quorum' | 'hysteresis'>,
  wasLost: boolean | undefined,
): boolean {
  if (wasLost === false) return sum === 0 || sum < quorum - hysteresis;
  return sum === 0 || sum < quorum + hysteresis;
}

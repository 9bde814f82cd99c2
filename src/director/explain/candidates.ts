/** What a scheduler saw in each destination, and why it was taken or not. */

import type { Destination } from '../../model/destination.ts';
import type { Candidate } from '../../model/explanation.ts';
import type { SchedulerName } from '../../schedulers/index.ts';
import { isEligible } from '../../schedulers/least.ts';
import { reasons } from '../../schedulers/reasons.ts';
import { formatAddress } from '../../wire/address.ts';
import type { RealDestination } from '../service.ts';

/** Most of them that are told; the one that was taken is always among them. */
export const MOST_CANDIDATES = 50;

export function candidatesOf(
  destinations: readonly RealDestination[],
  chosen: Destination | undefined,
  scheduler: SchedulerName,
): Candidate[] {
  const shown = destinations.filter((each, i) => i < MOST_CANDIDATES || each === chosen);
  return shown.map((each) => ({
    address: formatAddress(each.address),
    port: each.port,
    method: each.method,
    weight: each.weight,
    activeConnections: each.activeConnections,
    inactiveConnections: each.inactiveConnections,
    taken: each === chosen,
    why: whyOf(each, scheduler),
  }));
}

function whyOf(destination: RealDestination, scheduler: SchedulerName): string {
  if (destination.weight === 0) return 'quiesced: weight 0';
  if (!isEligible(destination)) {
    const { activeConnections, inactiveConnections, upperThreshold } = destination;
    return `overloaded: ${activeConnections + inactiveConnections} connections, threshold ${upperThreshold}`;
  }
  return reasons[scheduler].of(destination);
}

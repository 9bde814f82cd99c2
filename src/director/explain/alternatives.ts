/** Explains what else a packet could have matched: the other services, and the other destinations of a scheduler. */
import type { Destination } from '../../model/destination.ts';
import type { Candidate, NearMiss } from '../../model/explanation.ts';
import type { SchedulerName } from '../../schedulers/index.ts';
import { isEligible } from '../../schedulers/least.ts';
import { reasons } from '../../schedulers/reasons.ts';
import { formatAddress, sameAddress } from '../../wire/address.ts';
import type { Packet } from '../../wire/packet.ts';
import type { RealDestination, Service } from '../service.ts';
import { serviceAddress } from '../service-address.ts';

/** Number of destinations that are listed; the selected one is always among them. */
export const MAX_CANDIDATES = 50;

export function candidatesOf(
  destinations: readonly RealDestination[],
  chosen: Destination | undefined,
  scheduler: SchedulerName,
): Candidate[] {
  const shown = destinations.filter((each, i) => i < MAX_CANDIDATES || each === chosen);
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

/** Maximum number of services that are listed. */
const MAX_NEAR_MISSES = 5;

export function nearMisses(
  services: Iterable<Service>,
  { protocol, dst, dstPort, family }: Packet,
  mark: number,
  matched: Service | undefined,
): NearMiss[] {
  const near: { readonly closeness: number; readonly miss: NearMiss }[] = [];
  for (const service of services) {
    if (service === matched || service.family !== family) continue;
    const differs: string[] = [];
    if (service.mark !== 0) {
      if (service.mark === mark) continue;
      differs.push(
        mark === 0 ? 'no mark rule matches the packet' : `the packet has mark ${mark}, not ${service.mark}`,
      );
    } else {
      if (!sameAddress(service.address, dst)) differs.push('different address');
      if (service.protocol !== protocol) differs.push('different protocol');
      if (service.port !== dstPort && service.port !== 0) differs.push('different port');
      if (differs.length === 0)
        differs.push(matched?.mark ? 'a mark takes precedence' : 'an exact port takes precedence');
    }
    if (differs.length > 1) continue;
    // The same address is closer than the same port elsewhere, and that is closer than a mark.
    const closeness = service.mark !== 0 ? 2 : differs[0] === 'different address' ? 1 : 0;
    near.push({ closeness, miss: { service: serviceAddress(service, formatAddress), why: differs[0]! } });
  }
  near.sort((a, b) => a.closeness - b.closeness);
  return near.slice(0, MAX_NEAR_MISSES).map(({ miss }) => miss);
}

/** Lists the destinations that have joined: what their servers announce, and what the rules have. */
import type { Director } from '../../director/director.ts';
import type { Membership } from '../../join/membership.ts';
import { isStarting, type Placement, stateOf } from '../../join/placement.ts';
import type { JoinedCondition, JoinedPlace } from '../../model/joined.ts';
import { runningDestination } from '../running-destination.ts';

/** Returns the places in the order of the servers' names. `now`: ms of the membership's clock. */
export function joinedPlaces(
  membership: Pick<Membership, 'placements' | 'slowStartOf'>,
  director: Pick<Director, 'context'>,
  now: number,
): readonly JoinedPlace[] {
  const ahead = Date.now() - now;
  const places = [...membership.placements].map((placement): JoinedPlace => {
    const { server, service, destination, weight: announced, stateSince } = placement;
    const weight = runningDestination(director, service, destination)?.weight;
    return {
      ...{ server: server.name, source: server.source, service, destination, announced },
      ...(weight !== undefined && { weight }),
      state: conditionOf(placement, weight, isStarting(placement, membership.slowStartOf(placement), now)),
      since: new Date(stateSince + ahead).toISOString(),
    };
  });
  const byName = new Intl.Collator('en', { numeric: true }).compare;
  return places.sort((a, b) => byName(a.server, b.server));
}

function conditionOf(placement: Placement, weight: number | undefined, isGrowing: boolean): JoinedCondition {
  const { isRemoved, applied } = placement;
  if (isRemoved || (applied !== undefined && weight === undefined)) return 'removed';
  const state = stateOf(placement);
  if (state !== 'up') return state;
  if (weight === 0) return 'quiesced';
  return isGrowing ? 'slow-start' : 'up';
}

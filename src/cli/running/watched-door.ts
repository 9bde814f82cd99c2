/** The director's door with its health checks: they lower the weights on the way in, and are seen on the way out. */
import type { Watch } from '../../checks/watch.ts';
import type { DirectorDoor } from '../../control/door.ts';
import type { ServiceSnapshot } from '../../model/snapshot.ts';

/** `now`: the clock of the watch, ms. */
export function watchedDoor(door: DirectorDoor, watch: Watch, now: () => number): DirectorDoor {
  return {
    apply: (commands) => door.apply(watch.adjust(commands, now())),
    async snapshot(parts) {
      const snapshot = await door.snapshot(parts);
      return { ...snapshot, services: withChecks(snapshot.services, watch, now()) };
    },
    connections: () => door.connections(),
  };
}

/** The same services, each watched destination with what its checks found. */
export const withChecks = (
  services: readonly ServiceSnapshot[],
  watch: Watch,
  now: number,
): ServiceSnapshot[] =>
  services.map((each) => ({
    ...each,
    destinations: each.destinations.map((one) => {
      const check = watch.stateOf(each.service, one, now);
      return check ? { ...one, check } : one;
    }),
  }));

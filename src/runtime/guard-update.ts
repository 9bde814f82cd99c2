/** The director's door with what its host must learn of each change: a command is done when the kernel keeps to it, too. */
import type { DirectorDoor } from '../control/director-api.ts';

/** `settle` resolves when the host is as the director's services want it. */
export function guardedDoor(door: DirectorDoor, settle: () => Promise<void>): DirectorDoor {
  return {
    snapshot: (parts) => door.snapshot(parts),
    connections: () => door.connections(),
    async apply(commands) {
      const outcomes = await door.apply(commands);
      await settle();
      return outcomes;
    },
  };
}

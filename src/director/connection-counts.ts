import type { RealDestination } from './service.ts';

/**
 * Counts active and inactive connections like Linux 6.1, and marks destinations over their thresholds as
 * overloaded.
 */

/** Returns the number of connections that is compared with the thresholds. */
const load = (destination: RealDestination): number =>
  destination.activeConnections + destination.inactiveConnections;

/**
 * Counts a connection (inactive until its protocol changes that) or a template that was bound to the
 * destination.
 */
export function countBound(destination: RealDestination, isTemplate: boolean, isInactive: boolean): void {
  if (isTemplate) destination.addPersistent(1);
  else if (isInactive) destination.addInactive(1);
  else destination.addActive(1);
  const { upperThreshold } = destination;
  if (upperThreshold !== 0 && load(destination) >= upperThreshold) destination.overloaded = true;
}

/** Counts a connection or a template of the destination that ended. */
export function countUnbound(destination: RealDestination, isTemplate: boolean, isInactive: boolean): void {
  if (isTemplate) destination.addPersistent(-1);
  else if (isInactive) destination.addInactive(-1);
  else destination.addActive(-1);
  if (destination.overloaded && hasRecovered(destination)) destination.overloaded = false;
}

/**
 * Reports whether the load is below the lower threshold, or below three quarters of the upper one without a
 * lower.
 */
function hasRecovered(destination: RealDestination): boolean {
  const { upperThreshold, lowerThreshold } = destination;
  if (lowerThreshold !== 0) return load(destination) < lowerThreshold;
  return upperThreshold === 0 || load(destination) * 4 < upperThreshold * 3;
}

export function countActivated(destination: RealDestination): void {
  destination.addInactive(-1);
  destination.addActive(1);
}

export function countDeactivated(destination: RealDestination): void {
  destination.addActive(-1);
  destination.addInactive(1);
}

import type { RealDestination } from './service.ts';

/** Active and inactive counts as Linux 6.1 counts them, and the thresholds that make a destination overloaded. */

/** What makes up a destination's load for its thresholds. */
const load = (destination: RealDestination): number =>
  destination.activeConnections + destination.inactiveConnections;

/** Returns a connection (inactive until its protocol says otherwise) or a template is bound to the destination. */
export function countBound(destination: RealDestination, isTemplate: boolean, isInactive: boolean): void {
  if (isTemplate) destination.persistentConnections++;
  else if (isInactive) destination.inactiveConnections++;
  else destination.activeConnections++;
  const { upperThreshold } = destination;
  if (upperThreshold !== 0 && load(destination) >= upperThreshold) destination.overloaded = true;
}

/** A connection or a template of the destination is gone. */
export function countUnbound(destination: RealDestination, isTemplate: boolean, isInactive: boolean): void {
  if (isTemplate) destination.persistentConnections--;
  else if (isInactive) destination.inactiveConnections--;
  else destination.activeConnections--;
  if (destination.overloaded && hasRecovered(destination)) destination.overloaded = false;
}

/** Below the lower threshold, or below three quarters of the upper one where there is no lower. */
function hasRecovered(destination: RealDestination): boolean {
  const { upperThreshold, lowerThreshold } = destination;
  if (lowerThreshold !== 0) return load(destination) < lowerThreshold;
  return upperThreshold === 0 || load(destination) * 4 < upperThreshold * 3;
}

export function countActivated(destination: RealDestination): void {
  destination.inactiveConnections--;
  destination.activeConnections++;
}

export function countDeactivated(destination: RealDestination): void {
  destination.activeConnections--;
  destination.inactiveConnections++;
}

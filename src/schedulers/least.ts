/** Compares the load of destinations relative to their weights, without division. */
import type { Destination } from '../model/destination.ts';

/** The load of a destination, an integer below 2^33. */
export type Load = (destination: Destination) => number;

/**
 * Weight of an active connection relative to an inactive one (include/net/ip_vs.h, ip_vs_dest_conn_overhead).
 */
const ACTIVE = 256;

/** Returns 256 * active + inactive connections: the overhead that lc, wlc, lblc, lblcr and twos compare. */
export const overhead: Load = (destination) =>
  destination.activeConnections * ACTIVE + destination.inactiveConnections;

/** Returns the active connections, including the new one: the delay that sed and nq compare. */
export const expectedDelay: Load = (destination) => destination.activeConnections + 1;

/** Reports whether the destination accepts new connections. */
export const isEligible = (destination: Destination): boolean =>
  destination.weight > 0 && !destination.overloaded;

/** 2^16: factors are split here, so that every part of a product stays below 2^53. */
const CUT = 0x10000;

/**
 * Reports whether loadA / weightA > loadB / weightB, as loadA * weightB > loadB * weightA. Exact for loads below 2^33 and
 * weights below 2^31, whose products need 64 bits: the parts of a product stay below 2^50, where doubles are exact.
 */
export function isHeavier(loadA: number, weightA: number, loadB: number, weightB: number): boolean {
  const a = loadA * weightB;
  const b = loadB * weightA;
  if (a <= Number.MAX_SAFE_INTEGER && b <= Number.MAX_SAFE_INTEGER) return a > b;
  const lowA = loadA * (weightB % CUT);
  const lowB = loadB * (weightA % CUT);
  const highA = loadA * Math.floor(weightB / CUT) + Math.floor(lowA / CUT);
  const highB = loadB * Math.floor(weightA / CUT) + Math.floor(lowB / CUT);
  return highA === highB ? lowA % CUT > lowB % CUT : highA > highB;
}

/**
 * Returns the eligible destination with the least load for its weight; the first one if several are equal.
 */
export function leastLoaded(destinations: readonly Destination[], load: Load): Destination | undefined {
  let least: Destination | undefined;
  let leastLoad = 0;
  for (const destination of destinations) {
    if (!isEligible(destination)) continue;
    const its = load(destination);
    if (least !== undefined && !isHeavier(leastLoad, least.weight, its, destination.weight)) continue;
    least = destination;
    leastLoad = its;
  }
  return least;
}

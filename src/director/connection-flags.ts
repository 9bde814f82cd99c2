/** Flags of connections, as commands, sync messages and listings have them, and what rows have in their place. */
import { KIND, TRACK } from '../table/layout.ts';

/** Forwarding method of a connection, flags & FORWARDING_METHOD; the numbers of include/uapi/linux/ip_vs.h, Linux 6.1. */
export const MASQ = 0;
export const LOCAL = 1;
export const TUNNEL = 2;
export const ROUTE = 3;
export const FORWARDING_METHOD = 0x7;
/** Further flags, of the same file. */
/** A message of another director made the connection. */
export const SYNC = 0x20;
/** No packet of the destination was seen. */
export const NOOUTPUT = 0x80;
/** Counted among its destination's inactive connections. */
export const INACTIVE = 0x100;
/** The client's port is not known yet (FTP data). */
export const NO_CPORT = 0x800;
export const TEMPLATE = 0x1000;
/** Exists for one packet; lookups do not find it. */
export const ONE_PACKET = 0x2000;

/** Returns the kind of a row with these flags. */
export function kindOf(flags: number): number {
  if (flags & ONE_PACKET) return KIND.HIDDEN;
  if (flags & TEMPLATE) return KIND.TEMPLATE;
  return flags & NO_CPORT ? KIND.OPEN : KIND.LIVE;
}

/** Returns `track` of a row with these flags. */
export const trackOf = (flags: number): number =>
  ((flags & FORWARDING_METHOD) << TRACK.method) |
  ((flags & NOOUTPUT) !== 0 ? TRACK.NOOUTPUT : 0) |
  ((flags & INACTIVE) !== 0 ? TRACK.INACTIVE : 0) |
  ((flags & SYNC) !== 0 ? TRACK.SYNCED : 0);

/** Returns the flags of a row but its method. */
export const flagsOf = (kind: number, track: number): number =>
  ((track & TRACK.NOOUTPUT) !== 0 ? NOOUTPUT : 0) |
  ((track & TRACK.INACTIVE) !== 0 ? INACTIVE : 0) |
  ((track & TRACK.SYNCED) !== 0 ? SYNC : 0) |
  (kind === KIND.OPEN ? NO_CPORT : 0) |
  (kind === KIND.TEMPLATE || kind === KIND.INVALID ? TEMPLATE : 0) |
  (kind === KIND.HIDDEN ? ONE_PACKET : 0);

/*
 * What `track` of a row says. A program of the kernel may change a row at any moment: who changes it by compare-exchange reads
 * `track` once, and decides by that value.
 */

/** Returns the state of the protocol. */
export const stateIn = (track: number): number => track & TRACK.state;

/** Reports whether the row is counted among its destination's inactive connections. */
export const isInactiveIn = (track: number): boolean => (track & TRACK.INACTIVE) !== 0;

/** Reports whether the row has ended, and waits to be removed, or has another connection at this moment. */
export const hasEndedIn = (track: number): boolean => stateIn(track) >= TRACK.RECYCLE;

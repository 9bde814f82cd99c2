/** Translates positions in what the server sends into those that the client knows, and back. */
import type { ControlState } from './control-state.ts';

/** Returns whether position `a` is before `b`. */
export const isBefore = (a: number, b: number): boolean => ((a - b) | 0) < 0;

/**
 * Returns the position at which the client receives the byte that the server sends at `position`. Within a change it is where
 * the changed bytes begin.
 */
export function toClient(state: ControlState, position: number): number {
  let { shift } = state;
  for (let change = 0; change < state.changes; change++) {
    const start = state.start(change);
    if (!isBefore(start, position)) break;
    if (isBefore(position, start + state.length(change)) && !state.isKept(change)) return (start + shift) | 0;
    shift += state.newLength(change) - state.length(change);
  }
  const next = state.serverNext;
  const pending = state.matched;
  if (pending === 0 || next === undefined || !isBefore(next - pending, position))
    return (position + shift) | 0;
  // The client receives nothing of what is withheld, and what follows it in its place.
  const following = isBefore(next, position) ? position - next : 0;
  return (next - pending + following + shift) | 0;
}

/** Where to place a position within changed bytes: at their beginning, or at their end. */
type Rounding = 'down' | 'up';

/** Returns the position of the server's byte that the client receives at `position`. */
export function toServer(state: ControlState, position: number, rounding: Rounding = 'down'): number {
  let { shift } = state;
  for (let change = 0; change < state.changes; change++) {
    const start = state.start(change) + shift;
    if (!isBefore(start, position)) break;
    const isWithin = isBefore(position, start + state.newLength(change));
    if (isWithin && !state.isKept(change))
      return (state.start(change) + (rounding === 'up' ? state.length(change) : 0)) | 0;
    shift += state.newLength(change) - state.length(change);
  }
  return (position - shift) | 0;
}

/**
 * Returns what an acknowledgement of the client at `position` says to the server. Bytes that are withheld are acknowledged
 * with the ones before them, because the server may wait for that with the rest of the line.
 */
export function acknowledgement(state: ControlState, position: number): number {
  const own = toServer(state, position);
  const pending = state.matched;
  const next = state.serverNext;
  if (pending === 0 || next === undefined) return own;
  const begin = (next - pending) | 0;
  // The client may have acknowledged FIN or data that is not known here: never less than what it says.
  return isBefore(own, begin) ? own : (own + pending) | 0;
}

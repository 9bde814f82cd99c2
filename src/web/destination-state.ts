/** A destination's state in words: what it does, and why. */
import type { DestinationSnapshot } from '../model/snapshot.ts';
import { duration } from './figures.ts';

/** good: takes its share. fair: takes less or nothing, as was asked for. bad: it failed. */
export interface DestinationState {
  readonly mood: 'good' | 'fair' | 'bad';
  readonly word: string;
  readonly why?: string;
}

export function stateOf(destination: DestinationSnapshot): DestinationState {
  const { weight, overloaded, check } = destination;
  const { upperThreshold, lowerThreshold, activeConnections, inactiveConnections } = destination;
  const said = check?.message ? `${check.type} check: ${check.message}` : undefined;
  const since = check ? `for ${duration(check.since)}` : undefined;
  const why = (...words: (string | undefined)[]) => {
    const text = words.filter((word) => word !== undefined).join('; ');
    return text === '' ? {} : { why: text };
  };
  if (check?.state === 'down') return { mood: 'bad', word: 'down', ...why(since, said) };
  if (check?.state === 'drained') return { mood: 'fair', word: 'drained', ...why(since, said) };
  if (overloaded) {
    const has = `${activeConnections + inactiveConnections} connections, threshold ${upperThreshold}`;
    // Without a lower threshold three quarters of the upper one, as in the kernel.
    const below = `takes more below ${lowerThreshold || Math.ceil((upperThreshold * 3) / 4)}`;
    return { mood: 'fair', word: 'overloaded', ...why(has, below, said) };
  }
  if (weight === 0) return { mood: 'fair', word: 'quiesced', ...why('weight 0', said) };
  if (check?.state === 'growing') return { mood: 'fair', word: 'growing', ...why(since, said) };
  return { mood: 'good', word: 'up', ...why(said) };
}

/** Describes the state of a destination, and its reason. */
import { joinedWords } from '../model/joined.ts';
import type { DestinationSnapshot, QuorumSnapshot } from '../model/snapshot.ts';
import { duration } from './figures.ts';

/**
 * good: receives its share of connections. plain: the same, without a check. fair: receives fewer or none, as configured.
 * bad: failed.
 */
export type Mood = 'good' | 'plain' | 'fair' | 'bad';

export interface DestinationState {
  readonly mood: Mood;
  readonly word: string;
  readonly why?: string;
}

/** Returns the quorum of a service as text. */
export const quorumText = ({ quorum, lost, weight }: QuorumSnapshot): string =>
  lost ? `quorum ${quorum} lost, weight ${weight}` : `quorum ${quorum}`;

/** Returns the state of a destination. */
export function stateOf(destination: DestinationSnapshot): DestinationState {
  const { weight, overloaded, check } = destination;
  const { upperThreshold, lowerThreshold, activeConnections, inactiveConnections } = destination;
  const result = check?.message ? `${check.type} check: ${check.message}` : undefined;
  const since = check ? `for ${duration(check.since)}` : undefined;
  const byCommand = destination.drained ? 'drained by command' : undefined;
  const why = (...words: (string | undefined)[]) => {
    const text = words.filter((word) => word !== undefined).join('; ');
    return text === '' ? {} : { why: text };
  };
  if (check?.state === 'down') return { mood: 'bad', word: 'down', ...why(byCommand, since, result) };
  if (destination.drained) {
    const left = activeConnections + inactiveConnections;
    return { mood: 'fair', word: 'drained', ...why(byCommand, `${left} connections left`, result) };
  }
  const { joined } = destination;
  if (joined && (joined.state !== 'up' || joined.weight === 0)) {
    const left = `${activeConnections + inactiveConnections} connections left`;
    const isKept = joined.state === 'kept';
    const word = joined.state === 'up' ? 'quiesced' : joined.state;
    return { mood: 'fair', word, ...why(joinedWords(joined), isKept ? undefined : left, result) };
  }
  if (destination.sorry && weight === 0)
    return { mood: 'good', word: 'sorry, standby', ...why('used while the quorum is lost', result) };
  if (check?.state === 'drained') return { mood: 'fair', word: 'drained', ...why(since, result) };
  if (overloaded) {
    const has = `${activeConnections + inactiveConnections} connections, threshold ${upperThreshold}`;
    // The default is three quarters of the upper threshold, as in the kernel.
    const below = `accepts new ones below ${lowerThreshold || Math.ceil((upperThreshold * 3) / 4)}`;
    return { mood: 'fair', word: 'overloaded', ...why(has, below, result) };
  }
  if (destination.sorry) return { mood: 'fair', word: 'sorry, in use', ...why('quorum lost', result) };
  if (weight === 0 && (destination.configuredWeight ?? check?.weight ?? 0) > 0)
    return { mood: 'fair', word: 'replaced', ...why('quorum lost: sorry servers are in use', result) };
  if (weight === 0) return { mood: 'fair', word: 'quiesced', ...why('weight 0', result) };
  if (check?.state === 'growing') return { mood: 'fair', word: 'growing', ...why(since, result) };
  const joining = joined && joinedWords(joined);
  if (joined && weight < joined.weight) return { mood: 'fair', word: 'growing', ...why(joining, result) };
  if (!check) return { mood: 'plain', word: 'no check', ...why(joining) };
  return { mood: 'good', word: 'up', ...why(joining, result) };
}

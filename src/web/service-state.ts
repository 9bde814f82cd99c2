/** Describes the state of a service: whether its destinations serve clients, and what is wrong otherwise. */
import { acceptsConnections } from '../model/destination.ts';
import type { DestinationSnapshot, ServiceSnapshot } from '../model/snapshot.ts';
import { type Mood, quorumText, stateOf } from './destination-state.ts';

export interface ServiceState {
  readonly mood: Mood;
  readonly word: string;
  readonly why?: string;
  /** Problems first: 0 no server is left, 1 servers are down, 2 servers get fewer connections, 3 neither. */
  readonly rank: 0 | 1 | 2 | 3;
  /** Destinations that accept connections, and all of them; sorry servers do not count. */
  readonly accepting: number;
  readonly total: number;
}

/** Returns the state of a service. */
export function stateOfService({ destinations, quorum }: ServiceSnapshot): ServiceState {
  const states = new Map<string, number>();
  let [accepting, total, sorry, checked] = [0, 0, 0, 0];
  for (const one of destinations) {
    const isAccepting = isServing(one);
    if (one.sorry) {
      if (isAccepting) sorry++;
      continue;
    }
    total++;
    if (isAccepting) accepting++;
    if (one.check) checked++;
    const { word, mood } = stateOf(one);
    if (mood === 'bad' || mood === 'fair') states.set(word, (states.get(word) ?? 0) + 1);
  }
  const counts = { accepting, total };
  const why = [...states].map(([word, count]) => `${count} ${word}`).join(', ');
  if (total + sorry === 0)
    return { mood: 'bad', word: 'no server', why: 'none is configured', rank: 0, ...counts };
  if (accepting + sorry === 0)
    return { mood: 'bad', word: 'no server', why: why || 'none accepts connections', rank: 0, ...counts };
  if (quorum?.lost)
    return {
      ...{ mood: 'bad', word: 'quorum lost', rank: 0, ...counts },
      why: [sorry > 0 ? 'sorry servers in use' : quorumText(quorum), why]
        .filter((text) => text !== '')
        .join(', '),
    };
  if (states.has('down')) return { mood: 'fair', word: 'impaired', why, rank: 1, ...counts };
  if (states.size > 0) return { mood: 'fair', word: 'reduced', why, rank: 2, ...counts };
  return { mood: checked > 0 ? 'good' : 'plain', word: checked > 0 ? 'up' : 'no check', rank: 3, ...counts };
}

const isServing = (one: DestinationSnapshot): boolean => one.removed !== true && acceptsConnections(one);

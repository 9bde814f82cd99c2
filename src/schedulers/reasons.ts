/** Explains how each scheduler selects: the rule, and the value that it compares. */
import type { Destination } from '../model/destination.ts';
import type { SchedulerName } from './index.ts';
import { expectedDelay, overhead } from './least.ts';

export interface Reason {
  /** The rule, as the end of a sentence that begins with the scheduler's name. */
  readonly rule: string;
  /** The value of a destination that accepts connections. */
  readonly of: (destination: Destination) => string;
}

const load = (destination: Destination): string =>
  `load ${overhead(destination)} for weight ${destination.weight}`;
const delay = (destination: Destination): string =>
  `${expectedDelay(destination)} with this one for weight ${destination.weight}`;
const weight = (destination: Destination): string => `weight ${destination.weight}`;
const turn = (): string => 'in turn';
const hash = (): string => 'by hash';

/** Load is 256 for an active connection and 1 for an inactive one. */
export const reasons: Readonly<Record<SchedulerName, Reason>> = {
  rr: { rule: 'takes each in turn', of: turn },
  wrr: { rule: 'takes each in turn, as often as its weight', of: weight },
  lc: { rule: 'takes the least load', of: (destination) => `load ${overhead(destination)}` },
  wlc: { rule: 'takes the least load for its weight', of: load },
  lblc: {
    rule: 'takes the destination that already has this virtual address, or the least load for its weight',
    of: load,
  },
  lblcr: {
    rule: 'takes the least loaded of the destinations that already have this virtual address, or of all',
    of: load,
  },
  dh: { rule: 'takes the destination that the hash of the virtual address selects', of: hash },
  sh: { rule: 'takes the destination that the hash of the client address selects', of: hash },
  sed: { rule: 'takes the shortest expected delay', of: delay },
  nq: { rule: 'takes the first idle one, or the shortest expected delay', of: delay },
  fo: { rule: 'takes the greatest weight', of: weight },
  ovf: {
    rule: 'takes the greatest weight that has not more active connections than that',
    of: (destination) => `${destination.activeConnections} active for weight ${destination.weight}`,
  },
  mh: { rule: 'takes the destination that the Maglev table selects for the client address', of: hash },
  twos: { rule: 'draws two by weight and takes the one with less load', of: load },
};

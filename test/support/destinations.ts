/** Destinations for tests of schedulers, whose counts a test sets as it likes. */

import type { Destination } from '../../src/model/destination.ts';
import { DEFAULT_SETTINGS } from '../../src/model/settings.ts';
import type { Request, SchedulerContext } from '../../src/schedulers/scheduler.ts';
import { parseAddress } from '../../src/wire/address.ts';

export type MutableDestination = { -readonly [K in keyof Destination]: Destination[K] };

export function destination(
  address: string,
  weight = 1,
  rest: Partial<MutableDestination> = {},
): MutableDestination {
  return {
    address: parseAddress(address)!,
    port: 80,
    method: 'nat',
    tunnel: { type: 'ipip', port: 0, checksum: 'none' },
    weight,
    lastWeight: weight,
    activeConnections: 0,
    inactiveConnections: 0,
    persistentConnections: 0,
    overloaded: false,
    counters: new Float64Array(5),
    ...rest,
  };
}

/** The i-th real server, i from 1. */
export const server = (i: number, weight = 1, rest: Partial<MutableDestination> = {}): MutableDestination =>
  destination(`10.1.0.${10 + i}`, weight, rest);

export const context = (
  destinations: readonly Destination[],
  rest: Partial<SchedulerContext> = {},
): SchedulerContext => ({
  destinations,
  family: 4,
  position: { last: -1, level: 0, step: 0, top: 0, setTable: () => {} },
  flags: 0,
  settings: DEFAULT_SETTINGS,
  random: () => 0.5,
  ...rest,
});

/** A request of a client, 10.0.0.10:1000 to 10.9.0.1:80 by default. */
export const request = (caddr = '10.0.0.10', cport = 1000, vaddr = '10.9.0.1', now = 0): Request => ({
  caddr: parseAddress(caddr)!,
  cport,
  vaddr: parseAddress(vaddr)!,
  vport: 80,
  daddr: parseAddress(vaddr)!,
  now,
});

/** What is shown of destinations whose servers joined by heartbeats. */
import { expect, test } from 'vitest';
import type { JoinedSnapshot } from '../../src/model/joined.ts';
import type { DestinationSnapshot } from '../../src/model/snapshot.ts';
import { stateOf } from '../../src/web/destination-state.ts';

const NO_TRAFFIC = { connections: 0, inPackets: 0, outPackets: 0, inOctets: 0, outOctets: 0 };
const shown = (weight: number, joined: Partial<JoinedSnapshot>, more: Partial<DestinationSnapshot> = {}) =>
  stateOf({
    ...{
      address: '10.0.0.3',
      port: 80,
      method: 'dr',
      tunnel: { type: 'ipip', port: 0, checksum: 'none' },
      weight,
    },
    ...{ upperThreshold: 0, lowerThreshold: 0, activeConnections: 2, inactiveConnections: 1 },
    ...{ persistentConnections: 0, overloaded: false, stats: NO_TRAFFIC, rates: NO_TRAFFIC },
    joined: { server: 'rs3', state: 'up', weight: 50, ...joined },
    ...more,
  });

test.each([
  [50, {}, 'plain', 'no check', 'joined'],
  [20, {}, 'fair', 'growing', 'joined'],
  [0, { weight: 0 }, 'fair', 'quiesced', 'the server announces weight 0; 3 connections left'],
  [0, { state: 'draining' }, 'fair', 'draining', 'the server announces that it drains; 3 connections left'],
  [
    0,
    { state: 'silent' },
    'fair',
    'silent',
    'the server is silent, its connections continue; 3 connections left',
  ],
  [50, { state: 'kept' }, 'fair', 'kept', 'most servers are silent: checks decide'],
] as const)('weight %i and %j are shown as %s, %s', (weight, joined, mood, word, why) => {
  expect(shown(weight, joined)).toEqual({ mood, word, why });
});

test('a check that fails comes first', () => {
  const check = { type: 'tcp', state: 'down', since: 5, message: 'refused', weight: 50 } as const;
  expect(shown(0, { state: 'kept' }, { check })).toMatchObject({ mood: 'bad', word: 'down' });
});

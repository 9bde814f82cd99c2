/** Heartbeats on the wire. */
import { expect, test } from 'vitest';
import type { Heartbeat } from '../../src/nlb/heartbeat.ts';
import { decodeHeartbeat, encodeHeartbeat } from '../../src/nlb/heartbeat-codec.ts';
import { GROUPS } from '../../src/nlb/places.ts';

const KEY = 'sixteen characters';
const epoch = { counter: 7, coordinator: 1, boot: 0xfedc_ba98 };
const WHOLE: Heartbeat = {
  id: 2,
  boot: 0x89ab_cdef,
  sequence: 12,
  configuration: 0xffff_fffe,
  state: 'muted',
  weights: [50, 0, 100],
  received: [{ id: 1, boot: 5, sequence: 6 }],
  counter: 7,
  held: { epoch, phase: 2 },
  inForce: { ...epoch, counter: 6 },
  led: { view: { epoch, isMerge: true, members: [{ id: 2, boot: 3, weights: [1, 2, 3] }] }, phase: 3 },
  ends: 300,
  kept: new Map([[2, Uint8Array.from({ length: GROUPS }, (_, i) => Number(i % 7 < 2))]]),
};
const { held: _held, inForce: _inForce, led: _led, ...SHORT } = WHOLE;

test.each([WHOLE, { ...SHORT, received: [], kept: new Map<number, Uint8Array>() }])(
  'a heartbeat is read as it was written (%#)',
  (beat) => {
    expect(decodeHeartbeat(encodeHeartbeat(beat, KEY), KEY)).toEqual(beat);
  },
);

test('each changed byte, another key and another length are refused', () => {
  const datagram = encodeHeartbeat(WHOLE, KEY);
  for (const i of datagram.keys()) {
    const changed = Buffer.from(datagram);
    changed[i]! ^= 1;
    expect(decodeHeartbeat(changed, KEY)).toBe(i < 4 ? 'foreign' : 'unauthenticated');
  }
  expect(decodeHeartbeat(datagram, 'another secret key')).toBe('unauthenticated');
  for (const length of [0, 3, 4, 20, datagram.length - 1])
    expect(typeof decodeHeartbeat(datagram.subarray(0, length), KEY)).toBe('string');
});

test('an authentic datagram with other content than a heartbeat is malformed', () => {
  const beat = {
    ...WHOLE,
    led: { view: { epoch, isMerge: true, members: [{ id: 2, boot: 3, weights: [1] }] }, phase: 3 as const },
  };
  expect(decodeHeartbeat(encodeHeartbeat(beat, KEY), KEY)).toBe('malformed');
  expect(decodeHeartbeat(encodeHeartbeat({ ...WHOLE, weights: [50, 0, 101] }, KEY), KEY)).toBe('malformed');
});

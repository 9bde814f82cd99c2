/** Heartbeats and challenges as datagrams. */
import { expect, test } from 'vitest';
import {
  decodeChallenge,
  decodeHeartbeat,
  encodeChallenge,
  encodeHeartbeat,
  type Heartbeat,
  joinKey,
  kindOf,
  MAX_ANSWERS,
  MAX_BYTES,
  MAX_PLACES,
} from '../../src/join/heartbeat-codec.ts';
import type { Place } from '../../src/join/member.ts';
import { isTagged } from '../../src/wire/message-tag.ts';
import { seeded } from '../support/directed.ts';

const KEY = joinKey(Uint8Array.from({ length: 32 }, (_, i) => i));
const BEAT: Heartbeat = {
  node: 'rs-1.example',
  run: '00112233445566ff',
  state: 'up',
  counter: 4_294_967_295,
  answers: ['0102030405060708', 'ffffffffffffffff'],
  places: [
    {
      service: { protocol: 'tcp', address: '192.0.2.1', port: 80 },
      destination: { address: '10.0.0.3', port: 8080 },
      weight: 65_535,
    },
    {
      service: { protocol: 'udp', address: '2001:db8::1', port: 53 },
      destination: { address: '2001:db8::3', port: 53 },
      weight: 0,
    },
    {
      service: { protocol: 'sctp', address: '2001:db8::1', port: 1 },
      destination: { address: '10.0.0.3', port: 1 },
      weight: 1,
    },
    {
      service: { mark: 4_294_967_295, family: 6 },
      destination: { address: '2001:db8::3', port: 0 },
      weight: 7,
    },
  ],
};
const LONGEST: Place = {
  service: { protocol: 'tcp', address: '2001:db8::1:1', port: 65_535 },
  destination: { address: '2001:db8::2:2', port: 65_535 },
  weight: 1,
};
const WHOLE: Heartbeat = {
  ...BEAT,
  node: 'n'.repeat(63),
  answers: Array.from({ length: MAX_ANSWERS }, () => '0102030405060708'),
  places: Array.from({ length: MAX_PLACES }, () => LONGEST),
};

test.each([BEAT, WHOLE, { ...BEAT, state: 'leaving' as const, answers: [], places: [] }])(
  'a heartbeat is read as it was written (%#)',
  (beat) => {
    const datagram = encodeHeartbeat(beat, KEY);
    expect(datagram.length).toBeLessThanOrEqual(MAX_BYTES);
    expect(kindOf(datagram)).toBe('heartbeat');
    expect(isTagged([KEY], datagram)).toBe(true);
    expect(decodeHeartbeat(datagram)).toEqual(beat);
    expect(decodeChallenge(datagram)).toBeUndefined();
  },
);

test('a challenge is read as it was written, and is no heartbeat', () => {
  const challenge = { run: '00112233445566ff', question: 'a1a2a3a4a5a6a7a8' };
  const datagram = encodeChallenge(challenge, KEY);
  expect(kindOf(datagram)).toBe('challenge');
  expect(decodeChallenge(datagram)).toEqual(challenge);
  expect(decodeHeartbeat(datagram)).toBeUndefined();
});

test('each changed byte and another key are found', () => {
  const datagram = encodeHeartbeat(BEAT, KEY);
  for (const i of datagram.keys()) {
    const changed = Buffer.from(datagram);
    changed[i]! ^= 1;
    expect(kindOf(changed) === undefined || !isTagged([KEY], changed)).toBe(true);
  }
  expect(isTagged([joinKey(new Uint8Array(32))], datagram)).toBe(false);
  expect(isTagged([joinKey(new Uint8Array(32)), KEY], datagram)).toBe(true);
});

test('datagrams that are too short, too long, or of another protocol are of no kind', () => {
  const datagram = encodeHeartbeat(WHOLE, KEY);
  expect(kindOf(Buffer.alloc(0))).toBeUndefined();
  expect(kindOf(datagram.subarray(0, 28))).toBeUndefined();
  expect(kindOf(Buffer.concat([datagram, Buffer.alloc(MAX_BYTES)]))).toBeUndefined();
  expect(kindOf(Buffer.from('GET / HTTP/1.1 and so on for a while'))).toBeUndefined();
});

test('a name that is none, an unknown state, too many places and an IPv4-mapped address are malformed', () => {
  const reread = (beat: Heartbeat) => decodeHeartbeat(encodeHeartbeat(beat, KEY));
  expect(reread({ ...BEAT, node: '10.0.0.1' })).toBeUndefined();
  expect(reread({ ...BEAT, node: 'a\nb' })).toBeUndefined();
  expect(reread({ ...BEAT, node: '' })).toBeUndefined();
  expect(reread({ ...BEAT, state: 'gone' as 'up' })).toBeUndefined();
  expect(reread({ ...BEAT, places: Array.from({ length: 201 }, () => BEAT.places[0]!) })).toBeUndefined();
  expect(reread({ ...BEAT, answers: Array.from({ length: 9 }, () => BEAT.run) })).toBeUndefined();
  const datagram = encodeHeartbeat({ ...BEAT, places: [LONGEST] }, KEY);
  // The service's address follows the form of the only place.
  const at = datagram.length - 16 - 2 - 18 - 18;
  datagram.fill(0, at, at + 10).fill(0xff, at + 10, at + 12);
  expect(decodeHeartbeat(datagram)).toBeUndefined();
});

test('random and changed datagrams never throw, and what is read can be written again', () => {
  const random = seeded(5);
  const below = (limit: number) => Math.floor(random() * limit);
  for (let i = 0; i < 20_000; i++) {
    const datagram =
      i % 2 === 0
        ? Buffer.from(encodeHeartbeat(i % 4 === 0 ? BEAT : { ...BEAT, places: [LONGEST] }, KEY))
        : Buffer.from(Array.from({ length: below(300) }, () => below(256)));
    for (let n = below(6); n > 0 && datagram.length > 0; n--)
      datagram[5 + below(datagram.length)] = below(256);
    const cut = datagram.subarray(0, below(3) === 0 ? below(datagram.length + 1) : datagram.length);
    if (kindOf(cut) === undefined) continue;
    const beat = decodeHeartbeat(cut);
    if (beat) expect(decodeHeartbeat(encodeHeartbeat(beat, KEY))).toEqual(beat);
    decodeChallenge(cut);
  }
});

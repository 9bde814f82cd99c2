/** Values of servers' keys in etcd. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MAX_PLACES } from '../../src/join/heartbeat-codec.ts';
import type { Announcement, Place } from '../../src/join/member.ts';
import { serverRecord, serverRecordOf } from '../../src/join/server-record.ts';

const PLACE: Place = {
  service: { protocol: 'tcp', address: '192.0.2.1', port: 80 },
  destination: { address: '10.0.0.1', port: 8080 },
  weight: 100,
};
const SERVER: Announcement = { node: 's1', run: '0123456789abcdef', state: 'up', places: [PLACE] };
const read = (text: string) => serverRecordOf(Buffer.from(text));
const changed = (parts: object) => read(serverRecord({ ...SERVER, ...parts }));

test('an announcement is read as it was written', () => {
  const places: Place[] = [
    PLACE,
    { service: { mark: 7, family: 6 }, destination: { address: '2001:db8::1', port: 0 }, weight: 0 },
    {
      service: { protocol: 'udp', address: '2001:db8::2', port: 53 },
      destination: PLACE.destination,
      weight: 65_535,
    },
  ];
  for (const state of ['joining', 'up', 'draining', 'leaving'] as const)
    expect(changed({ state, places })).toEqual({ ...SERVER, state, places });
});

test('the largest announcement has its place, and a larger one is none', () => {
  const address = '2001:db8:1111:2222:3333:4444:5555:6666';
  const place: Place = {
    service: { protocol: 'sctp', address, port: 65_535 },
    destination: { address, port: 65_535 },
    weight: 65_535,
  };
  const places = Array.from({ length: MAX_PLACES }, () => place);
  expect(changed({ places })?.places).toHaveLength(MAX_PLACES);
  expect(changed({ places: [...places, place] })).toBeUndefined();
  expect(read(`${serverRecord(SERVER)}${' '.repeat(64 << 10)}`)).toBeUndefined();
});

test('what is no announcement is undefined', () => {
  const place = (parts: object) => changed({ places: [{ ...PLACE, ...parts }] });
  for (const each of [
    changed({ node: '10.0.0.1' }),
    changed({ node: 'a b' }),
    changed({ run: 'x' }),
    changed({ state: 'down' }),
    changed({ places: {} }),
    place({ weight: -1 }),
    place({ weight: 65_536 }),
    place({ weight: '1' }),
    place({ destination: { address: 'example', port: 80 } }),
    place({ destination: { address: '::ffff:10.0.0.1', port: 80 } }),
    place({ destination: { address: '10.0.0.1', port: 70_000 } }),
    place({ service: { protocol: 'icmp', address: '192.0.2.1', port: 80 } }),
    place({ service: { mark: -1, family: 4 } }),
    place({ service: { mark: 1, family: 5 } }),
    read(serverRecord(SERVER).replace('"version":1', '"version":2')),
  ])
    expect(each).toBeUndefined();
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => read(text) === undefined));
});

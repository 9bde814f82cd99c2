import { expect, test } from 'vitest';
import { Link } from '../../src/io/link.ts';
import type { PacketIo } from '../../src/io/packet-io.ts';
import { ReplayIo } from '../../src/io/replay.ts';
import { parseMac } from '../../src/wire/ethernet.ts';
import { capturedPackets, captureFile, captures } from '../support/captures.ts';

/** The card that heard the Ethernet captures. */
const HEARD_BY = parseMac('02:00:00:00:00:03')!;

test.each(captures)('%s replays as the IP packets that are in it, in the order of their times', (name) => {
  const replay = new ReplayIo(captureFile(name));
  using io: PacketIo =
    replay.medium === 'ip'
      ? replay
      : new Link(replay, { mac: HEARD_BY, source: () => undefined, now: () => 0 });
  const heard: Uint8Array[] = [];
  let last = 0;
  io.receive((frame) => {
    heard.push(frame.copy());
    expect(frame.at).toBeGreaterThanOrEqual(last);
    last = frame.at;
  }, 10_000);
  expect(heard).toEqual(capturedPackets(name).map((octets) => Uint8Array.from(octets)));
  expect(last).toBeGreaterThan(0);
  expect(replay.skipped).toBe(0);
});

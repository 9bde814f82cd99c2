import { expect, test } from 'vitest';
import { FIRST_FILTER } from '../../src/io/capture.ts';
import type { FrameRing } from '../../src/io/frame-ring.ts';
import { PacketQueues } from '../../src/io/packet-queues.ts';

const BUDGET = 128;

/** Queues packets of one byte with this value; returns how many fitted. */
function push(ring: FrameRing, packets: number, value: number): number {
  let pushed = 0;
  for (let i = 0; i < packets; i++) if (ring.pushCopy(new Uint32Array([value]), 0, 1)) pushed++;
  return pushed;
}

const KNOWN = 1;
const FIRST = 2;

/** Returns how many packets of each kind a batch handles, and the kind of the first of them. */
function batch(queues: PacketQueues) {
  const kinds: number[] = [];
  queues.drain((frame) => kinds.push(frame.bytes[frame.start]!), BUDGET);
  const of = (kind: number) => kinds.filter((each) => each === kind).length;
  return { known: of(KNOWN), first: of(FIRST), leader: kinds[0] };
}

test('known packets are handled before first packets that came earlier', () => {
  const queues = new PacketQueues(256, 64);
  push(queues.first, 10, FIRST);
  push(queues.known, 10, KNOWN);
  expect(batch(queues)).toEqual({ known: 10, first: 10, leader: KNOWN });
});

test('while known packets wait, few first packets are handled, but some', () => {
  const queues = new PacketQueues(1024, 64);
  push(queues.first, 1000, FIRST);
  push(queues.known, 1024, KNOWN);
  for (let i = 0; i < 7; i++) {
    const { known, first } = batch(queues);
    expect(known).toBe(BUDGET);
    expect(first).toBeGreaterThan(0);
    expect(first).toBeLessThan(BUDGET / 16);
  }
});

test('a flood of first packets leaves the room of known packets alone', () => {
  const queues = new PacketQueues(256, 64);
  expect(push(queues.first, 100_000, FIRST)).toBeLessThan(2000);
  expect(push(queues.known, 256, KNOWN)).toBe(256);
});

test('the capture of first packets is read when the earlier ones are handled', () => {
  const queues = new PacketQueues(256, 64);
  expect(queues.wantsFirst).toBe(true);
  push(queues.first, 100, FIRST);
  expect(queues.wantsFirst).toBe(false);
  while (!queues.isEmpty) batch(queues);
  expect(queues.wantsFirst).toBe(true);
});

test('the filter of first packets names SYN without ACK and INIT in both IP versions', () => {
  expect(FIRST_FILTER).toContain('tcp[13] & 0x12 = 2');
  expect(FIRST_FILTER).toContain('ip6[53] & 0x12 = 2');
  expect(FIRST_FILTER).toContain('sctp[12] = 1');
});

import { expect, test } from 'vitest';
import { FrameRing } from '../../src/io/frame-ring.ts';
import type { Frame } from '../../src/wire/frame.ts';

/** Octets 0, 1, 2, ... in memory that begins at a whole word. */
const source = (octets: number) => {
  const words = new Uint32Array(Math.ceil(octets / 4) + 1);
  new Uint8Array(words.buffer).set(Uint8Array.from({ length: octets }, (_, i) => i));
  return words;
};
const drained = (ring: FrameRing, budget = 100) => {
  const octets: number[][] = [];
  ring.drain((frame: Frame) => octets.push([...frame.copy()]), budget);
  return octets;
};

test.each([1, 3, 4, 61, 64])('the ring hands over a copy of %d bytes, and nothing beyond them', (octets) => {
  const ring = new FrameRing(4, 64);
  expect(ring.pushCopy(source(octets), 0, octets)).toBe(true);
  expect(drained(ring)).toEqual([Array.from({ length: octets }, (_, i) => i)]);
});

test('the ring copies from any word offset', () => {
  const ring = new FrameRing(4, 64);
  ring.pushCopy(source(16), 2, 5);
  expect(drained(ring)).toEqual([[8, 9, 10, 11, 12]]);
});

test('the ring refuses frames that are too long, and frames that arrive when it is full', () => {
  const ring = new FrameRing(2, 8);
  expect(ring.pushCopy(source(12), 0, 9)).toBe(false);
  expect([1, 2, 3].map((octets) => ring.pushCopy(source(8), 0, octets))).toEqual([true, true, false]);
  expect(ring.full).toBe(true);
  expect(drained(ring)).toEqual([[0], [0, 1]]);
});

test('the ring keeps the order through many rounds, within the budget', () => {
  const ring = new FrameRing(4, 8);
  const seen: number[] = [];
  for (let i = 0; i < 50; i++) {
    ring.pushCopy(Uint32Array.of(2 * i), 0, 4);
    ring.pushCopy(Uint32Array.of(2 * i + 1), 0, 4);
    expect(ring.drain((frame) => seen.push(frame.view.getUint32(frame.start, true)), 1)).toBe(1);
    ring.drain((frame) => seen.push(frame.view.getUint32(frame.start, true)), 1);
  }
  expect(seen).toEqual(Array.from({ length: 100 }, (_, i) => i));
  expect(ring.length).toBe(0);
});

test('a frame that held a reassembled datagram can be reused as an ordinary frame', () => {
  const ring = new FrameRing(1, 8);
  ring.pushCopy(source(4), 0, 4);
  ring.drain((frame) => {
    frame.fragmentSize = 1400;
    frame.start -= 20;
  }, 1);
  ring.pushCopy(source(4), 0, 4);
  ring.drain((frame) => expect([frame.fragmentSize, ...frame.copy()]).toEqual([0, 0, 1, 2, 3]), 1);
});

test('the ring requires a size that is a power of two', () => {
  expect(() => new FrameRing(3, 8)).toThrow(RangeError);
});

test('the ring makes no more frames than wait at the same time', () => {
  const ring = new FrameRing(16_384, 2048);
  const frames = new Set<Frame>();
  for (let i = 0; i < 1000; i++) {
    for (let waiting = 0; waiting < 3; waiting++) ring.pushCopy(source(4), 0, 4);
    ring.drain((frame) => frames.add(frame), 3);
  }
  expect(frames.size).toBe(3);
});

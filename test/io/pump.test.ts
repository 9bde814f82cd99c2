import { expect, test, vi } from 'vitest';
import { BATCH, monotonicClock, pump } from '../../src/io/pump.ts';
import { Frame } from '../../src/wire/frame.ts';
import { packetOfLine } from '../../src/wire/packet-line.ts';
import { MemoryIo } from '../support/memory-io.ts';
import { lineOf } from '../support/packets.ts';

const LINE = '10.0.0.1:1 > 10.0.0.2:2 UDP len=3';
const never = new AbortController().signal;

/** A director that passes every second packet and records its calls. */
function recorder() {
  const calls: string[] = [];
  let count = 0;
  return {
    calls,
    subject: new Frame(0),
    handle(frame: Frame, now: number) {
      calls.push(`handle ${now}`);
      this.subject = frame;
      return count++ % 2 === 0 ? ('forwarded' as const) : ('pass' as const);
    },
    expire: (now: number) => void calls.push(`expire ${now}`),
  };
}

test('every packet goes through the director, and packets of no service are passed on', async () => {
  const io = new MemoryIo();
  for (let i = 0; i < 4; i++) io.inject(packetOfLine(`10.0.0.${i}:1 > 10.0.0.2:2 UDP len=3`));
  io.close();
  const director = recorder();
  const unmatched: string[] = [];
  await pump({
    io,
    director,
    clock: () => 7,
    signal: never,
    unmatched: (frame) => unmatched.push(lineOf(frame.copy())),
  });
  expect(director.calls).toEqual(['handle 7', 'handle 7', 'handle 7', 'handle 7']);
  expect(unmatched).toEqual([1, 3].map((i) => `10.0.0.${i}:1 > 10.0.0.2:2 UDP len=3`));
});

test('the clock is read once per batch, and timeouts are processed between batches', async () => {
  const io = new MemoryIo();
  for (let i = 0; i < BATCH + 1; i++) io.inject(packetOfLine(LINE));
  io.close();
  const times = [1000, 1050, 1150];
  const director = recorder();
  await pump({ io, director, clock: () => times.shift()!, signal: never });
  expect(director.calls.slice(0, BATCH)).toEqual(Array(BATCH).fill('handle 1050'));
  expect(director.calls.slice(BATCH)).toEqual(['expire 1150', 'handle 1150']);
});

test('the pump ends on request, with nothing waiting', async () => {
  const ending = new AbortController();
  const io = new MemoryIo();
  const running = pump({ io, director: recorder(), clock: () => 0, signal: ending.signal });
  ending.abort();
  await expect(running).resolves.toBeUndefined();
});

test('the clock advances in whole milliseconds and never backward', () => {
  const [first, second] = [monotonicClock(), monotonicClock()];
  expect(Number.isSafeInteger(first)).toBe(true);
  expect(second).toBeGreaterThanOrEqual(first);
});

test('the clock continues after the 24.8 days that 31 bits of milliseconds hold', () => {
  const days = 30 * 86_400_000;
  const now = vi.spyOn(performance, 'now').mockReturnValue(days + 0.5);
  try {
    expect(monotonicClock()).toBe(days);
  } finally {
    now.mockRestore();
  }
});

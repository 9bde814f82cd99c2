import { expect, test } from 'vitest';
import { parseAddress } from '../../src/wire/address.ts';
import { packetOfLine } from '../../src/wire/packet-line.ts';
import { MemoryIo } from './memory-io.ts';
import { frameOf, lineOf } from './packets.ts';

const LINE = '10.0.0.1:1 > 10.0.0.2:2 UDP len=3';
const NEXT = parseAddress('10.0.0.9')!;
const never = new AbortController().signal;

test('the memory device delivers injected packets in order, at their time, within the budget', () => {
  const io = new MemoryIo();
  for (let i = 0; i < 3; i++) io.inject(packetOfLine(LINE), i * 10);
  const times: number[] = [];
  const take = (budget: number) => io.receive((frame) => times.push(frame.at), budget);
  expect([take(2), take(2), take(2)]).toEqual([2, 1, 0]);
  expect(times).toEqual([0, 10, 20]);
});

test('the memory device keeps copies of sent packets until it is full', () => {
  const io = new MemoryIo();
  io.capacity = 1;
  const frame = frameOf(LINE);
  const nextHop = NEXT.slice();
  expect(io.transmit(frame, nextHop)).toBe(true);
  frame.bytes.fill(0);
  nextHop.fill(0);
  expect(io.transmit(frame, NEXT)).toBe(false);
  expect(io.sent.map(({ octets }) => lineOf(octets))).toEqual([LINE]);
  expect(io.sent[0]!.nextHop).toEqual(NEXT);
});

test('the memory device is ready when packets wait, and never after it is closed and empty', async () => {
  const io = new MemoryIo();
  const waiting = io.ready(never);
  io.inject(packetOfLine(LINE));
  expect(await waiting).toBe(true);
  io.close();
  expect(await io.ready(never)).toBe(true);
  io.receive(() => {}, 1);
  expect(await io.ready(never)).toBe(false);
});

test('waiting ends with the signal and when the device is closed', async () => {
  const io = new MemoryIo();
  const abort = new AbortController();
  const waiting = io.ready(abort.signal);
  abort.abort();
  expect(await waiting).toBe(false);
  const closing = io.ready(never);
  io[Symbol.dispose]();
  expect(await closing).toBe(false);
});

test('a packet over the maximum length is refused', () =>
  expect(new MemoryIo().inject(new Uint8Array(70_000))).toBe(false));

import { expect, test } from 'vitest';
import { ReplayIo } from '../../src/io/replay.ts';
import { parseAddress } from '../../src/wire/address.ts';
import { packetOfLine } from '../../src/wire/packet-line.ts';
import {
  LINKTYPE_ETHERNET,
  LINKTYPE_LINUX_SLL,
  LINKTYPE_RAW,
  pcapHeader,
  pcapPacket,
} from '../../src/wire/pcap-file.ts';
import { frameOf, hex, lineOf } from '../support/packets.ts';

const A = '10.0.0.1:1 > 10.0.0.2:2 UDP len=3';
const B = '10.0.0.1:1 > 10.0.0.2:2 UDP len=4';
const START = 1_700_000_000_000;
const never = new AbortController().signal;

const fileOf = (linkType: number, packets: readonly [octets: Uint8Array, at: number, length?: number][]) =>
  Buffer.concat([
    pcapHeader(linkType),
    ...packets.map(([octets, at, length]) => pcapPacket(octets, START + at, {}, length)),
  ]);
const cooked = (type: string, octets: Uint8Array): Uint8Array =>
  Buffer.concat([hex(`0000000100060200000000010000${type}`), octets]);

function all(io: ReplayIo): [line: string, at: number][] {
  const seen: [string, number][] = [];
  io.receive((frame) => seen.push([lineOf(frame.copy()), frame.at]), 100);
  return seen;
}

test('the file is source and clock: packets arrive at their ms since the first packet', async () => {
  using io = new ReplayIo(
    fileOf(LINKTYPE_RAW, [
      [packetOfLine(A), 0],
      [packetOfLine(B), 1500.25],
    ]),
  );
  expect([io.medium, io.exclusive]).toEqual(['ip', true]);
  expect(await io.ready(never)).toBe(true);
  expect(all(io)).toEqual([
    [A, 0],
    [B, 1500.25],
  ]);
  expect(await io.ready(never)).toBe(false);
});

test('due packets can be requested and read up to a time', () => {
  using io = new ReplayIo(
    fileOf(LINKTYPE_RAW, [
      [packetOfLine(A), 0],
      [packetOfLine(B), 900_000],
    ]),
  );
  const times: number[] = [];
  const take = (until: number) => io.receiveUntil(until, (frame) => times.push(frame.at), 10);
  expect(io.due).toBe(0);
  expect(take(899_999)).toBe(1);
  expect(io.due).toBe(900_000);
  expect(take(900_000)).toBe(1);
  expect(io.due).toBeUndefined();
  expect(times).toEqual([0, 900_000]);
});

test('the link type is that of the file', () => {
  const io = new ReplayIo(fileOf(LINKTYPE_ETHERNET, [[new Uint8Array(60), 0]]));
  expect(io.medium).toBe('ethernet');
  expect(io.receive((frame) => expect(frame.length).toBe(60), 9)).toBe(1);
});

test('a Linux cooked capture gives its IP packets', () => {
  const io = new ReplayIo(
    fileOf(LINKTYPE_LINUX_SLL, [
      [cooked('0800', packetOfLine(A)), 0],
      [cooked('0806', new Uint8Array(28)), 1],
      [hex('0000'), 2],
    ]),
  );
  expect(io.medium).toBe('ip');
  expect(all(io)).toEqual([[A, 0]]);
  expect(io.skipped).toBe(2);
});

test('packets that were truncated at capture are skipped and counted', () => {
  const io = new ReplayIo(
    fileOf(LINKTYPE_RAW, [
      [packetOfLine(A).slice(0, 20), 0, 31],
      [packetOfLine(B), 5],
    ]),
  );
  expect(all(io)).toEqual([[B, 5]]);
  expect(io.skipped).toBe(1);
});

test('sent packets go to the callback of the caller', () => {
  const lines: string[] = [];
  const io = new ReplayIo(fileOf(LINKTYPE_RAW, []), (frame) => lines.push(lineOf(frame.copy())) > 1);
  const send = () => io.transmit(frameOf(A), parseAddress('10.0.0.9')!);
  expect([send(), send()]).toEqual([false, true]);
  expect(lines).toEqual([A, A]);
});

test('a damaged file is refused at the damaged place', () => {
  const file = fileOf(LINKTYPE_RAW, [
    [packetOfLine(A), 0],
    [packetOfLine(B), 1],
  ]);
  const io = new ReplayIo(file.subarray(0, file.length - 1));
  const lines: string[] = [];
  expect(() => io.receive((frame) => lines.push(lineOf(frame.copy())), 9)).toThrow('a packet is truncated');
  expect(lines).toEqual([A]);
  expect(() => new ReplayIo(new Uint8Array(3))).toThrow('header is truncated');
  expect(() => new ReplayIo(fileOf(147, []))).toThrow('link type 147');
});

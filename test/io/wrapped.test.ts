import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { MemoryIo } from '../../src/io/memory.ts';
import { recorded } from '../../src/io/recorded.ts';
import { ReplayIo } from '../../src/io/replay.ts';
import { traced } from '../../src/io/traced.ts';
import { parseAddress } from '../../src/wire/address.ts';
import { parseMac } from '../../src/wire/ethernet.ts';
import { packetOfLine } from '../../src/wire/packet-line.ts';
import { LINKTYPE_ETHERNET, readPcap, readPcapHeader } from '../../src/wire/pcap-file.ts';
import { ethernetOf, frameOf, hex, lineOf } from '../support/packets.ts';

const IN = '203.0.113.7:4000 > 192.0.2.80:80 TCP SYN';
const OUT = '203.0.113.7:4000 > 10.0.0.2:8080 TCP SYN';
const NEXT = parseAddress('10.0.0.2')!;
const A = parseMac('02:00:00:00:00:01')!;
const B = parseMac('02:00:00:00:00:02')!;

describe('traced', () => {
  test('prints every packet, and passes it on', () => {
    const wire = new MemoryIo();
    const lines: string[] = [];
    using io = traced(wire, (line) => lines.push(line));
    wire.inject(packetOfLine(IN));
    const seen: string[] = [];
    expect(io.receive((frame) => seen.push(lineOf(frame.copy())), 5)).toBe(1);
    expect(io.transmit(frameOf(OUT), NEXT)).toBe(true);
    wire.capacity = 1;
    expect(io.transmit(frameOf(OUT), NEXT)).toBe(false);
    expect(seen).toEqual([IN]);
    expect(wire.sent).toHaveLength(1);
    expect(lines).toEqual([`in  ${IN}`, `out ${OUT} via 10.0.0.2`, `out ${OUT} via 10.0.0.2`, '    lost']);
  });

  test('prints Ethernet frames with their addresses', () => {
    const wire = new MemoryIo('ethernet');
    const lines: string[] = [];
    using io = traced(wire, (line) => lines.push(line));
    wire.inject(ethernetOf(packetOfLine(IN), A, B));
    wire.inject(hex('ffffffffffff0200000000020806 0001'));
    wire.inject(hex('ffff'));
    io.receive(() => {}, 5);
    expect(lines).toEqual([
      `in  02:00:00:00:00:02 > 02:00:00:00:00:01 ${IN}`,
      'in  02:00:00:00:00:02 > ff:ff:ff:ff:ff:ff type=0x0806 len=2',
      'in  malformed len=2',
    ]);
  });
});

describe('recorded', () => {
  const fileFor = (): string => {
    const folder = mkdtempSync(join(tmpdir(), 'lvs-recorded-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    return join(folder, 'packets.pcap');
  };

  test('saves both directions with their times; the file replays', () => {
    const path = fileFor();
    let now = 1_700_000_000_000;
    const wire = new MemoryIo();
    {
      using io = recorded(wire, path, () => now);
      wire.inject(packetOfLine(IN));
      io.receive((frame) => {
        now += 5;
        io.transmit(frame, NEXT);
      }, 5);
    }
    const seen: [string, number][] = [];
    new ReplayIo(readFileSync(path)).receive((frame) => seen.push([lineOf(frame.copy()), frame.at]), 9);
    expect(seen).toEqual([
      [IN, 0],
      [IN, 5],
    ]);
    expect(wire.sent).toHaveLength(1);
  });

  test('is whole after a flush, and before that no later than with 64 KiB', () => {
    const path = fileFor();
    const wire = new MemoryIo('ethernet');
    using io = recorded(wire, path, () => 0);
    const frame = frameOf('1.1.1.1:1 > 2.2.2.2:2 UDP len=40000');
    io.transmit(frame, NEXT);
    io.flush();
    expect(readPcapHeader(readFileSync(path)).linkType).toBe(LINKTYPE_ETHERNET);
    expect([...readPcap(readFileSync(path))]).toHaveLength(1);
    io.transmit(frame, NEXT);
    io.transmit(frame, NEXT);
    expect([...readPcap(readFileSync(path))]).toHaveLength(3);
  });

  test('a place that cannot be written is told at once', () =>
    expect(() => recorded(new MemoryIo(), '/nonexistent/x.pcap', () => 0)).toThrow('ENOENT'));
});

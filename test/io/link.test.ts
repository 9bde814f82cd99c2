import { beforeEach, describe, expect, test } from 'vitest';
import { Link } from '../../src/io/link.ts';
import { MemoryIo } from '../../src/io/memory.ts';
import type { NeighborLimits } from '../../src/io/neighbors.ts';
import { type Address, isV4, parseAddress } from '../../src/wire/address.ts';
import { BROADCAST_MAC, formatMac, parseMac } from '../../src/wire/ethernet.ts';
import type { Frame } from '../../src/wire/frame.ts';
import { groupMac, ndp, solicitedNode } from '../../src/wire/ndp.ts';
import { packetOfLine } from '../../src/wire/packet-line.ts';
import { decoded, ethernetOf, frameOf, hex, lineOf } from '../support/packets.ts';

const mac = (text: string) => parseMac(text)!;
const address = (text: string): Address => parseAddress(text)!;
const OURS = mac('02:00:00:00:00:01');
const SERVER = mac('02:00:00:00:0a:01');
const OTHER = mac('02:00:00:00:0a:02');
const SYN = '203.0.113.7:4000 > 192.0.2.80:80 TCP SYN';
const SYN6 = '[2001:db8::7]:4000 > [2001:db8::80]:80 TCP SYN';
const NEXT = address('10.0.0.2');
const NEXT6 = address('fd00::2');

let now = 0;
let wire: MemoryIo;
beforeEach(() => {
  now = 0;
  wire = new MemoryIo('ethernet');
});

const linkOf = (options: { vlan?: number; limits?: Partial<NeighborLimits> } = {}): Link =>
  new Link(wire, {
    mac: OURS,
    source: (nextHop) => address(isV4(nextHop) ? '10.0.0.1' : 'fd00::1'),
    now: () => now,
    ...options,
  });

/** What the link hands over, as lines. */
function received(link: Link, budget = 100): string[] {
  const lines: string[] = [];
  link.receive((frame: Frame) => lines.push(lineOf(frame.copy())), budget);
  return lines;
}

/** Takes out what was sent, as Ethernet frames in hexadecimal. */
const sent = (): string[] => wire.sent.splice(0).map(({ octets }) => Buffer.from(octets).toString('hex'));

const macHex = (octets: Uint8Array): string => Buffer.from(octets).toString('hex');
const ipHex = (line: string): string => Buffer.from(packetOfLine(line)).toString('hex');
const ASK = `ffffffffffff0200000000010806${'00010800060400010200000000010a0000010000000000000a000002'}`;
const arpReply = (from: Uint8Array, sender: string): Uint8Array =>
  hex(
    `${macHex(OURS)}${macHex(from)}0806 0001080006040002 ${macHex(from)} ${sender} ${macHex(OURS)} 0a000001`,
  );
const ANSWER = arpReply(SERVER, '0a000002');

describe('receiving', () => {
  test('an IP packet to our card comes without its header and padding', () => {
    const padded = new Uint8Array(60);
    padded.set(ethernetOf(packetOfLine(SYN), OURS, SERVER));
    wire.inject(padded);
    const frames: number[] = [];
    const link = linkOf();
    expect(link.receive((frame) => frames.push(frame.length), 10)).toBe(1);
    expect(frames).toEqual([packetOfLine(SYN).length]);
  });

  test('frames to other cards are not taken, broadcasts are', () => {
    wire.inject(ethernetOf(packetOfLine(SYN), OTHER, SERVER));
    wire.inject(ethernetOf(packetOfLine(SYN6), BROADCAST_MAC, SERVER));
    expect(received(linkOf())).toEqual([SYN6]);
  });

  test.each<[string, number | undefined, string, boolean]>([
    ['no tag where none is wanted', undefined, '', true],
    ['one tag', undefined, '81000007', true],
    ['two tags', undefined, '88a8006481000007', true],
    ['five tags: nobody’s', undefined, '81000001'.repeat(5), false],
    ['the wanted tag', 7, '8100e007', true],
    ['another tag', 7, '81000008', false],
    ['no tag where one is wanted', 7, '', false],
  ])('%s', (_name, vlan, tags, taken) => {
    wire.inject(hex(`${macHex(OURS)}${macHex(SERVER)}${tags}0800${ipHex(SYN)}`));
    expect(received(linkOf(vlan === undefined ? {} : { vlan }))).toEqual(taken ? [SYN] : []);
  });

  test('the budget limits what is handed over', () => {
    for (let i = 0; i < 5; i++) wire.inject(ethernetOf(packetOfLine(SYN), OURS, SERVER));
    const link = linkOf();
    expect(received(link, 3)).toHaveLength(3);
    expect(received(link, 3)).toHaveLength(2);
  });
});

describe('sending', () => {
  test('asks for the next hop by ARP; the packet waits, and goes out with the answer', () => {
    const link = linkOf();
    expect(link.transmit(frameOf(SYN), NEXT)).toBe(true);
    expect(sent()).toEqual([ASK]);
    wire.inject(ANSWER);
    expect(received(link)).toEqual([]);
    expect(sent()).toEqual([`${macHex(SERVER)}${macHex(OURS)}0800${ipHex(SYN)}`]);
    link.transmit(frameOf(SYN), NEXT);
    expect(sent()).toEqual([`${macHex(SERVER)}${macHex(OURS)}0800${ipHex(SYN)}`]);
  });

  test('asks for an IPv6 next hop by neighbour solicitation', () => {
    const link = linkOf();
    link.transmit(frameOf(SYN6), NEXT6);
    const question = hex(sent()[0]!);
    expect(formatMac(question)).toBe('33:33:ff:00:00:02');
    expect(lineOf(question.subarray(14), { detail: true })).toBe(
      'fd00::1 > ff02::1:ff00:2 ICMP6 neighbor-solicitation len=24 ttl=255',
    );
    wire.inject(advertisement('fd00::2', SERVER));
    expect(received(link)).toHaveLength(1); // the host may want it too
    expect(sent()).toEqual([`${macHex(SERVER)}${macHex(OURS)}86dd${ipHex(SYN6)}`]);
  });

  test.each([
    ['through a router', { ttl: 254 }],
    ['with a wrong checksum', { checksum: 'bad-checksum' }],
  ])('an advertisement that came %s is not believed', (_name, how) => {
    const link = linkOf();
    link.transmit(frameOf(SYN6), NEXT6);
    sent();
    wire.inject(advertisement('fd00::2', SERVER, how));
    received(link);
    expect(sent()).toEqual([]);
  });

  test('a tag goes on questions and packets alike', () => {
    const link = linkOf({ vlan: 7 });
    link.transmit(frameOf(SYN), NEXT);
    expect(sent()[0]).toContain('020000000001810000070806');
    wire.inject(hex(macHex(ANSWER).replace('0806', '810000070806')));
    received(link);
    expect(sent()).toEqual([`${macHex(SERVER)}${macHex(OURS)}810000070800${ipHex(SYN)}`]);
  });

  test('the frame is as it was afterwards', () => {
    const link = linkOf();
    const frame = frameOf(SYN);
    link.transmit(frame, NEXT);
    wire.inject(ANSWER);
    received(link);
    link.transmit(frame, NEXT);
    expect(lineOf(frame.copy())).toBe(SYN);
  });

  test('three questions a second apart, then the packet is given up and counted', () => {
    const link = linkOf();
    link.transmit(frameOf(SYN), NEXT);
    for (now = 100; now < 3000; now += 100) received(link);
    expect(sent()).toEqual([ASK, ASK, ASK]);
    expect(link.neighbors.lost).toBe(0);
    now = 3000;
    received(link);
    expect(link.neighbors.lost).toBe(1);
    wire.inject(ANSWER); // too late: nobody is asked for any more
    received(link);
    expect(sent()).toEqual([]);
  });

  test('an old answer is used while it is asked again', () => {
    const link = linkOf();
    link.transmit(frameOf(SYN), NEXT);
    wire.inject(ANSWER);
    received(link);
    sent();
    now = 30_001;
    link.transmit(frameOf(SYN), NEXT);
    received(link);
    expect(sent()).toEqual([`${macHex(SERVER)}${macHex(OURS)}0800${ipHex(SYN)}`, ASK]);
    wire.inject(arpReply(OTHER, '0a000002'));
    received(link);
    link.transmit(frameOf(SYN), NEXT);
    expect(sent()).toEqual([`${macHex(OTHER)}${macHex(OURS)}0800${ipHex(SYN)}`]);
  });

  test('an answer that nobody asked for is not remembered', () => {
    const link = linkOf();
    wire.inject(ANSWER);
    received(link);
    link.transmit(frameOf(SYN), NEXT);
    expect(sent()).toEqual([ASK]);
  });

  test('without an address of our own there is nothing to ask with', () => {
    const link = new Link(wire, { mac: OURS, source: () => undefined, now: () => now });
    expect(link.transmit(frameOf(SYN), NEXT)).toBe(true);
    expect(sent()).toEqual([]);
  });

  test('a driver that is full makes transmit false', () => {
    const link = linkOf();
    link.transmit(frameOf(SYN), NEXT);
    wire.inject(ANSWER);
    received(link);
    wire.capacity = 0;
    expect(link.transmit(frameOf(SYN), NEXT)).toBe(false);
  });
});

test('only Ethernet drivers can be linked', () =>
  expect(() => new Link(new MemoryIo('ip'), { mac: OURS, source: () => undefined, now: () => 0 })).toThrow(
    TypeError,
  ));

test('noise on the wire never throws and is never handed over as our packets', () => {
  const link = linkOf();
  const frame = ethernetOf(packetOfLine(SYN6), OURS, SERVER);
  for (let length = 0; length < frame.length; length++) wire.inject(frame.slice(0, length));
  for (let length = 14; length < ANSWER.length; length++) wire.inject(ANSWER.slice(0, length));
  expect(received(link, 1000).every((line) => line.startsWith('malformed'))).toBe(true);
});

/** A neighbour advertisement as an Ethernet frame. */
function advertisement(
  target: string,
  from: Uint8Array,
  { ttl = 255, checksum = '' }: { ttl?: number; checksum?: string } = {},
): Uint8Array {
  const targetHex = Buffer.from(new Uint8Array(16));
  address(target).forEach((word, i) => void targetHex.writeUInt32BE(word, 4 * i));
  const body = `${targetHex.toString('hex')}0201${macHex(from)}`;
  const line = `${target} > fd00::1 ICMP6 neighbor-advertisement hex=${body} ttl=${ttl} ${checksum}`.trim();
  return ethernetOf(packetOfLine(line), OURS, from);
}

test('the group of an address and its MAC are as RFC 4291 and RFC 2464 tell', () => {
  const group = solicitedNode(address('2001:db8::1:2:3456:789a'));
  expect(group).toEqual(address('ff02::1:ff56:789a'));
  expect(formatMac(groupMac(group))).toBe('33:33:ff:56:78:9a');
});

test.each([
  ['0201020000000a01', 26],
  ['0000000000000000', -1], // an option of no length
  ['0101020000000a01', -1], // the source's, not the target's
  ['05010000000005dc0201020000000a01', 34],
  ['0203020000000a01', -1], // longer than the message
])('an advertisement with the options %s gives its MAC address at %i', (options, at) => {
  const packet = decoded(`fd00::2 > fd00::1 ICMP6 neighbor-advertisement hex=${'00'.repeat(16)}${options}`);
  const offset = ndp.macOffset(packet.frame, packet.transport, packet.end);
  expect(offset < 0 ? offset : offset - packet.transport).toBe(at);
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatAddress } from '../../src/wire/address.ts';
import { Frame, HEADROOM } from '../../src/wire/frame.ts';
import { Packet } from '../../src/wire/packet.ts';
import { packetOfLine } from '../../src/wire/packet-line.ts';
import { capturedPackets, captures } from '../support/captures.ts';
import { decoded, fragmentsOf, framed, hex } from '../support/packets.ts';

/** What a packet decodes to, without the frame. */
function fieldsOf(packet: Packet): Record<string, unknown> {
  const { frame, src, dst, network, transport, payload, end, fragmentHeader, ...rest } = { ...packet };
  const from = (offset: number) => (offset === 0 ? 0 : offset - network);
  return {
    ...rest,
    src: formatAddress(src),
    dst: formatAddress(dst),
    transport: from(transport),
    payload: from(payload),
    end: from(end),
    fragmentHeader: from(fragmentHeader),
  };
}
const PLAIN = {
  version: 4,
  hasPorts: false,
  hasHeader: false,
  malformed: false,
  srcPort: 0,
  dstPort: 0,
  tos: 0,
  dontFragment: false,
  fragmentOffset: 0,
  moreFragments: false,
  fragmentHeader: 0,
  tcpFlags: 0,
  icmpType: 0,
  icmpCode: 0,
  sctpChunk: -1,
};

function decode(octets: Uint8Array): Packet | undefined {
  const packet = new Packet();
  return packet.decode(framed(octets)) ? packet : undefined;
}

test('a SYN with options is decoded', () => {
  const packet = decode(
    hex(`4500 003c 1c46 4000 4006 b1e6 ac10 0a63 ac10 0a0c
         d7a6 0050 9a3b 1d2e 0000 0000 a002 7210 0000 0000 0204 05b4 0402 080a 0012 8f5a 0000 0000 0103 0307`),
  )!;
  expect(fieldsOf(packet)).toEqual({
    ...PLAIN,
    protocol: 6,
    src: '172.16.10.99',
    dst: '172.16.10.12',
    hasPorts: true,
    hasHeader: true,
    srcPort: 55206,
    dstPort: 80,
    transport: 20,
    payload: 60,
    end: 60,
    ttl: 64,
    dontFragment: true,
    tcpFlags: 0x02,
  });
});

test('IPv4 options are skipped', () => {
  const packet = decode(
    hex(`4600 0020 0000 0000 4011 0000 0a00 0001 0a00 0002 9404 0000 1000 0035 0008 0000`),
  )!;
  expect(fieldsOf(packet)).toEqual({
    ...PLAIN,
    protocol: 17,
    src: '10.0.0.1',
    dst: '10.0.0.2',
    hasPorts: true,
    hasHeader: true,
    srcPort: 4096,
    dstPort: 53,
    transport: 24,
    payload: 32,
    end: 32,
    ttl: 64,
  });
});

test('padding after the packet is not part of it', () => {
  const octets = packetOfLine('10.0.0.1:1 > 10.0.0.2:2 UDP len=2 tos=184 ttl=9');
  const padded = new Uint8Array(60);
  padded.set(octets);
  expect(fieldsOf(decode(padded)!)).toMatchObject({
    end: 30,
    payload: 28,
    tos: 184,
    ttl: 9,
    malformed: false,
  });
});

/** An IPv6 packet: fixed header from fd00::1 to fd00::2, then this. */
function six(next: number, digits: string): Uint8Array<ArrayBuffer> {
  const body = hex(digits);
  const octets = hex(`6b80 0000 0000 0040 ${'fd00'}${'00'.repeat(13)}01 ${'fd00'}${'00'.repeat(13)}02`);
  const whole = new Uint8Array(40 + body.length);
  whole.set(octets);
  new DataView(whole.buffer).setUint16(4, body.length);
  whole[6] = next;
  whole.set(body, 40);
  return whole;
}
const SYN = '1000 0050 0000 0000 0000 0000 5002 0000 0000 0000';
const HOPS = '3c00 0502 0000 0100'; // hop-by-hop, router alert; next: destination options
const DESTINATION = '2b01 0000 0000 0000 0000 0000 0000 0000'; // 16 octets; next: routing
const ROUTING = '2c00 0400 0000 0000'; // next: fragment
const AH = '0604 0000 0000 0001 0000 0001 0000 0000 0000 0000 0000 0000'; // 24 octets; next: TCP

test('all IPv6 extension headers are skipped', () => {
  const fragment = '3300 0001 dead beef'; // offset 0, more; next: authentication
  const packet = decode(six(0, HOPS + DESTINATION + ROUTING + fragment + AH + SYN))!;
  expect(fieldsOf(packet)).toEqual({
    ...PLAIN,
    version: 6,
    protocol: 6,
    src: 'fd00::1',
    dst: 'fd00::2',
    hasPorts: true,
    hasHeader: true,
    srcPort: 4096,
    dstPort: 80,
    tos: 0xb8,
    ttl: 64,
    dontFragment: true,
    moreFragments: true,
    fragmentHeader: 40 + 8 + 16 + 8,
    transport: 40 + 8 + 16 + 8 + 8 + 24,
    payload: 40 + 8 + 16 + 8 + 8 + 24 + 20,
    end: 40 + 8 + 16 + 8 + 8 + 24 + 20,
    tcpFlags: 0x02,
  });
});

test('a later IPv6 fragment ends the walk, whatever it seems to contain', () => {
  const packet = decode(six(44, '3c00 05a8 0000 0001 ffff ffff'))!;
  expect(fieldsOf(packet)).toMatchObject({
    protocol: 60,
    fragmentOffset: 1448,
    moreFragments: false,
    fragmentHeader: 40,
    transport: 48,
    hasPorts: false,
    malformed: false,
  });
});

test.each([
  ['a chain of 12 headers is walked', 12, true],
  ['one of 13 is not', 13, false],
])('%s', (_name, headers, well) =>
  expect(
    decode(six(60, `${'3c00000000000000'.repeat(headers - 1)}0600000000000000${SYN}`)) !== undefined,
  ).toBe(well),
);

test.each<[string, Uint8Array]>([
  ['nothing', new Uint8Array(0)],
  ['version 5', hex(`5500 0014 ${'0000'.repeat(8)}`)],
  ['19 octets', packetOfLine('10.0.0.1 > 10.0.0.2 proto=99').subarray(0, 19)],
  ['a header length of 4 words', hex(`4400 0014 ${'0000'.repeat(8)}`)],
  ['options beyond the total length', hex(`4600 0014 ${'0000'.repeat(10)}`)],
  ['a total length beyond the frame', hex(`4500 0015 ${'0000'.repeat(8)}`)],
  ['a total length of 0', hex(`4500 0000 ${'0000'.repeat(8)}`)],
  ['39 octets of IPv6', six(59, '').subarray(0, 39)],
  ['an IPv6 payload beyond the frame', six(59, '0000').subarray(0, 41)],
  ['an extension header beyond the packet', six(0, '0601 0000 0000 0000')],
  ['half a fragment header', six(44, '0600 0000')],
])('%s is not a packet', (_name, octets) => expect(decode(octets)).toBeUndefined());

test.each<[string, boolean, number, string]>([
  ['TCP of 19 octets', false, 20, `4500 0027 0000 0000 4006 0000 0a00 0001 0a00 0002 ${SYN}`.slice(0, -2)],
  [
    'TCP with 4 words of header',
    true,
    20,
    `4500 0028 0000 0000 4006 0000 0a00 0001 0a00 0002 ${SYN.replace('5002', '4002')}`,
  ],
  [
    'TCP with options beyond the packet',
    true,
    20,
    `4500 0028 0000 0000 4006 0000 0a00 0001 0a00 0002 ${SYN.replace('5002', '6002')}`,
  ],
  ['UDP of 7 octets', false, 20, '4500 001b 0000 0000 4011 0000 0a00 0001 0a00 0002 1000 0050 0008 00'],
  [
    'UDP longer than its packet',
    true,
    28,
    '4500 001c 0000 0000 4011 0000 0a00 0001 0a00 0002 1000 0050 0009 0000',
  ],
  [
    'UDP shorter than its header',
    true,
    28,
    '4500 001c 0000 0000 4011 0000 0a00 0001 0a00 0002 1000 0050 0007 0000',
  ],
  [
    'SCTP of 11 octets',
    false,
    20,
    '4500 001f 0000 0000 4084 0000 0a00 0001 0a00 0002 1000 0050 0000 0000 0000 00',
  ],
])('%s is malformed, but its ports are reported', (_name, hasHeader, payload, digits) =>
  expect(fieldsOf(decode(hex(digits))!)).toMatchObject({
    version: 4,
    malformed: true,
    hasPorts: true,
    hasHeader,
    srcPort: 4096,
    dstPort: 80,
    payload,
  }),
);

test('ICMP of 7 bytes is malformed; ICMPv6 in IPv4 is not ICMPv6', () => {
  expect(decode(hex('4500 001b 0000 0000 4001 0000 0a00 0001 0a00 0002 0303 0000 0000 00'))).toMatchObject({
    malformed: true,
    icmpType: 3,
    icmpCode: 3,
  });
  expect(decode(hex('4500 0016 0000 0000 403a 0000 0a00 0001 0a00 0002 8000'))).toMatchObject({
    malformed: false,
    icmpType: 0,
  });
});

describe('IPv4 fragments:', () => {
  const fragments = fragmentsOf(packetOfLine('10.0.0.1:1000 > 10.0.0.2:53 UDP len=3000 ipid=7'), 1500).map(
    (octets) => fieldsOf(decode(octets)!),
  );
  test('the first has the ports, and is not malformed for being shorter than its datagram', () =>
    expect(fragments[0]).toMatchObject({
      fragmentOffset: 0,
      moreFragments: true,
      hasPorts: true,
      srcPort: 1000,
      dstPort: 53,
      malformed: false,
    }));
  test('the others have an offset in bytes, and no ports', () =>
    expect(fragments.slice(1)).toMatchObject([
      { fragmentOffset: 1480, moreFragments: true, hasPorts: false, srcPort: 0, protocol: 17, transport: 20 },
      { fragmentOffset: 2960, moreFragments: false, hasPorts: false, dstPort: 0, end: 20 + 48 },
    ]));
});

test('decoding a packet resets all fields', () => {
  const used = new Packet();
  for (const line of [
    '[::1]:5 > [::2]:10 UDP len=4 frag=0+ ipid=9',
    '10.0.0.1:5000 > 10.0.0.2:5001 SCTP INIT',
    '10.0.0.1 > 10.0.0.2 ICMP 3/9 [10.0.0.2 > 10.0.0.1 GRE]',
    '203.0.113.7:4000 > 192.0.2.80:80 TCP SYN+ACK tos=3 DF',
    '10.0.0.1 > 10.0.0.2 UDP len=8 frag=1480',
    '10.0.0.1 > 10.0.0.2 proto=89',
  ]) {
    used.decode(framed(packetOfLine(line)));
    expect(fieldsOf(used)).toEqual(fieldsOf(decoded(line)));
  }
  expect(used.decode(framed(new Uint8Array(3)))).toBe(false);
  expect(used.version).toBe(0);
});

describe('a quoted packet', () => {
  const quote = (line: string, octets: number): Packet => {
    const packet = new Packet();
    const frame = framed(packetOfLine(line));
    expect(packet.decodeQuoted(frame, frame.start, frame.start + octets)).toBe(true);
    return packet;
  };
  const TCP = '192.0.2.80:80 > 203.0.113.7:4000 TCP SYN+ACK len=500';
  test.each([
    [20, { hasPorts: false, srcPort: 0, tcpFlags: 0 }],
    [23, { hasPorts: false, srcPort: 0, tcpFlags: 0 }],
    [24, { hasPorts: true, srcPort: 80, dstPort: 4000, tcpFlags: 0 }],
    [28, { hasPorts: true, srcPort: 80, dstPort: 4000, tcpFlags: 0 }],
    [33, { hasPorts: true, tcpFlags: 0 }],
    [34, { hasPorts: true, tcpFlags: 0x12 }],
    [40, { hasPorts: true, tcpFlags: 0x12, malformed: false }],
  ])('may end after %i bytes', (octets, want) => {
    const packet = quote(TCP, octets);
    expect(packet).toMatchObject({ version: 4, protocol: 6, malformed: octets < 40, ...want });
    expect(packet.end - packet.network).toBe(octets);
  });

  test('without its complete IP header is not a packet', () => {
    const frame = framed(packetOfLine(TCP));
    expect(new Packet().decodeQuoted(frame, frame.start, frame.start + 19)).toBe(false);
    expect(new Packet().decodeQuoted(frame, frame.end, frame.end)).toBe(false);
    expect(new Packet().decodeQuoted(frame, frame.start, frame.start)).toBe(false);
  });

  test('never extends beyond the frame', () => {
    const frame = framed(packetOfLine(TCP).subarray(0, 30));
    const packet = new Packet();
    expect(packet.decodeQuoted(frame, frame.start, frame.start + 1000)).toBe(true);
    expect(packet.end).toBe(frame.end);
  });

  test('that ends within its IPv6 extension headers has no ports', () => {
    const frame = framed(six(0, HOPS + DESTINATION));
    const packet = new Packet();
    expect(packet.decodeQuoted(frame, frame.start, frame.end - 4)).toBe(true);
    expect(packet).toMatchObject({ version: 6, protocol: 60, hasPorts: false });
  });
});

describe('for any bytes', () => {
  const lines: Uint8Array[] = [
    '203.0.113.7:4000 > 192.0.2.80:80 TCP SYN mss=1460',
    '[2001:db8::7]:4000 > [2001:db8::80]:80 TCP PSH+ACK len=30',
    '10.0.0.1:53 > 10.0.0.2:5353 UDP len=20',
    '[::1]:5 > [::2]:10 UDP len=16 frag=0+',
    '10.0.0.1:5000 > 10.0.0.2:5001 SCTP DATA len=16',
    '10.0.0.9 > 10.0.0.1 ICMP frag-needed mtu=1480 [10.0.0.1:80 > 10.0.0.2:4000 TCP ACK len=4]',
    '2001:db8::9 > 2001:db8::1 ICMP6 too-big mtu=1280 [[2001:db8::1]:80 > [2001:db8::2]:40 TCP ACK]',
  ].map(packetOfLine);
  lines.push(six(0, `${HOPS}${DESTINATION}${ROUTING}33000001deadbeef${AH}${SYN}`));

  for (const name of captures) lines.push(...capturedPackets(name).map((octets) => octets.slice(0, 160)));

  /** A real packet, cut somewhere and with some octets replaced; or noise. */
  const arriving = fc.oneof(
    fc.uint8Array({ maxLength: 120 }),
    fc
      .tuple(
        fc.constantFrom(...lines),
        fc.nat(130),
        fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 4 }),
      )
      .map(([octets, length, changes]) => {
        const mutated = octets.slice(0, length);
        for (const [at, octet] of changes) if (at < mutated.length) mutated[at] = octet;
        return mutated;
      }),
  );
  /** Octets around the packet, which must not matter. */
  const surrounded = (octets: Uint8Array, canary: number): Frame => {
    const frame = new Frame(octets.length + 64);
    frame.bytes.fill(canary);
    frame.load(octets);
    return frame;
  };

  test.each([
    ['decode', (packet: Packet, frame: Frame) => packet.decode(frame)],
    ['decodeQuoted', (packet: Packet, frame: Frame) => packet.decodeQuoted(frame, frame.start, frame.end)],
  ])('%s never throws, reads nothing outside the frame and stays inside it', (_name, run) =>
    fc.assert(
      fc.property(arriving, (octets) => {
        const [a, b] = [new Packet(), new Packet()];
        const well = run(a, surrounded(octets, 0x00));
        expect(run(b, surrounded(octets, 0xff))).toBe(well);
        expect(a.version !== 0).toBe(well);
        if (!well) return;
        expect(fieldsOf(a)).toEqual(fieldsOf(b));
        expect(a.network).toBe(HEADROOM);
        expect(a.end).toBeLessThanOrEqual(HEADROOM + octets.length);
        expect(a.transport).toBeLessThanOrEqual(a.end);
        expect(a.payload).toBeLessThanOrEqual(a.end);
        expect(a.payload).toBeGreaterThanOrEqual(a.transport);
      }),
      { numRuns: 3000 },
    ),
  );

  test('a frame at the end of its buffer is read no further', () =>
    fc.assert(
      fc.property(arriving, (octets) => {
        const frame = new Frame(octets.length);
        frame.load(octets);
        new Packet().decode(frame);
        new Packet().decodeQuoted(frame, frame.start, frame.end);
      }),
      { numRuns: 2000 },
    ));
});

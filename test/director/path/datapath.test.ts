import { describe, expect, test } from 'vitest';
import { Frame } from '../../../src/wire/frame.ts';
import { FRAGMENT } from '../../../src/wire/ipv6.ts';
import { packetOfLine } from '../../../src/wire/packet-line.ts';
import { printFrame } from '../../../src/wire/print.ts';
import { UDP } from '../../../src/wire/udp.ts';
import { collectionsDuring } from '../../support/collections.ts';
import { Directed, OWN } from '../../support/directed.ts';
import { fragmentsOf, framed } from '../../support/packets.ts';

const WEB = 'tcp 192.0.2.80:80';
const DNS = 'udp 192.0.2.80:53';

describe('the director passes a packet to the host', () => {
  test.each([
    ['another protocol', '203.0.113.7 > 192.0.2.80 proto=50', 'pass'],
    ['a ping', '203.0.113.7 > 192.0.2.80 ICMP echo-request', 'pass'],
    ['a router’s work', '203.0.113.7:1 > 198.51.100.1:80 SYN', 'pass'],
    ['IPv6', '[2001:db8::7]:1 > [2001:db8::80]:80 SYN', 'pass'],
  ])('%s', (_name, line, verdict) => {
    const directed = new Directed().serve(WEB, ['10.0.0.1:80']);
    expect([directed.receive(line), directed.sent]).toEqual([verdict, []]);
  });

  test.each(['0.0.0.0', '127.0.0.1', '224.0.0.1', '255.255.255.255'])(
    'from %s, which is not a valid host address',
    (src) => {
      const directed = new Directed().serve(WEB, ['10.0.0.1:80']);
      expect([directed.receive(`${src}:4000 > 192.0.2.80:80 SYN`), directed.connections]).toEqual([
        'pass',
        [],
      ]);
    },
  );

  test('whose header is damaged', () => {
    const directed = new Directed().serve(WEB, ['10.0.0.1:80']);
    const octets = packetOfLine('203.0.113.7:1 > 192.0.2.80:80 SYN');
    octets[12]! ^= 1;
    expect([directed.receiveOctets(octets), directed.connections]).toEqual(['malformed', []]);
  });

  test('that is not a packet', () => {
    const directed = new Directed().serve(WEB, ['10.0.0.1:80']);
    expect(directed.receiveOctets(Uint8Array.of(1, 2, 3))).toBe('malformed');
    expect(directed.director.snapshot(0).drops).toEqual({ malformed: 1 });
  });
});

describe('a datagram in fragments', () => {
  test('is passed to the host whole when no service matches', () => {
    const directed = new Directed().serve(DNS, ['10.0.0.1:53']);
    const whole = packetOfLine('203.0.113.7:4000 > 192.0.2.80:54 UDP len=3000');
    const frames = fragmentsOf(whole, 1500).map(framed);
    expect(frames.map((frame) => directed.receiveFrame(frame))).toEqual(['waiting', 'waiting', 'pass']);
    expect(printFrame(directed.director.subject)).toBe('203.0.113.7:4000 > 192.0.2.80:54 UDP len=3000');
  });

  test('of IPv6 with a single fragment is forwarded without the fragment header (RFC 6946)', () => {
    const directed = new Directed().serve('udp [2001:db8::80]:53', ['[fd00::1]:5353']);
    const octets = packetOfLine('[2001:db8::7]:4000 > [2001:db8::80]:53 UDP len=10');
    const atomic = Uint8Array.from([
      ...octets.subarray(0, 40),
      UDP,
      0,
      0,
      0,
      0,
      0,
      0,
      9,
      ...octets.subarray(40),
    ]);
    atomic[5]! += 8;
    atomic[6] = FRAGMENT;
    expect(directed.receiveOctets(atomic)).toBe('forwarded');
    expect(directed.sent).toEqual(['[2001:db8::7]:4000 > [fd00::1]:5353 UDP len=10 via fd00::1']);
  });

  const pieces = () => fragmentsOf(packetOfLine('203.0.113.7:4000 > 192.0.2.80:53 UDP len=3000'), 1500);

  test('is held until complete, then forwarded in fragments as one packet of one connection', () => {
    const directed = new Directed().serve(DNS, ['10.0.0.1:53', '10.0.0.2:53']);
    expect(pieces().map((piece) => directed.receiveOctets(piece))).toEqual([
      'waiting',
      'waiting',
      'forwarded',
    ]);
    expect(directed.sent.map((line) => line.split(' via ')[1])).toEqual(['10.0.0.2', '10.0.0.2', '10.0.0.2']);
    directed.wait(2);
    expect(directed.service(DNS).stats).toMatchObject({ connections: 1, inPackets: 1, inOctets: 3028 });
  });

  test('is dropped and counted when it stays incomplete', () => {
    const directed = new Directed().serve(DNS, ['10.0.0.1:53']);
    directed.receiveOctets(pieces()[0]!);
    directed.wait(31);
    expect(directed.director.snapshot(directed.now).drops).toEqual({ 'fragment-incomplete': 1 });
  });

  test('is not reassembled when no service can match', () => {
    const directed = new Directed().serve('udp 192.0.2.81:53', ['10.0.0.1:53']);
    expect(directed.receiveOctets(pieces()[0]!)).toBe('pass');
  });
});

describe('a server on the director itself', () => {
  test('receives packets unchanged under direct routing', () => {
    const directed = new Directed().serve(WEB, ['10.0.0.254:80'], { method: 'dr' });
    expect(directed.receive('203.0.113.7:1 > 192.0.2.80:80 SYN')).toBe('pass');
    expect(directed.connections).toEqual(['TCP SYN_RECV 203.0.113.7:1 192.0.2.80:80 10.0.0.254:80']);
    expect(directed.destination(WEB, '10.0.0.254:80').method).toBe('dr');
  });

  test('has its connection state follow its replies, if they are seen', () => {
    const directed = new Directed().serve(WEB, ['10.0.0.254:80'], { method: 'dr' });
    directed.receive('203.0.113.7:1 > 192.0.2.80:80 SYN');
    expect(directed.receive('192.0.2.80:80 > 203.0.113.7:1 RST+ACK')).toBe('pass');
    expect(directed.state).toBe('CLOSE');
  });
});

describe('an ICMP error from the director itself', () => {
  test.each([
    ['dr', 1],
    ['nat', 0],
  ] as const)('about %s is counted %i times as a reply of the server', (method, packets) => {
    const directed = new Directed().serve(WEB, ['10.0.0.1:80'], { method });
    expect(directed.receive('203.0.113.7:1 > 192.0.2.80:80 SYN ttl=1')).toBe('ttl-exceeded');
    expect(directed.connections).toHaveLength(1);
    directed.wait(2);
    expect(directed.service(WEB).stats).toMatchObject({
      inPackets: 1,
      outPackets: packets,
      outOctets: packets * 68,
    });
  });
});

test('with backup_only a backup passes all packets until it is the master', () => {
  const directed = new Directed().serve(WEB, ['10.0.0.1:80']);
  directed.set('backup_only', 1);
  directed.director.apply(
    { op: 'start-daemon', daemon: { role: 'backup', syncId: 1, interface: 'eth0' } },
    0,
  );
  expect(directed.receive('203.0.113.7:1 > 192.0.2.80:80 SYN')).toBe('pass');
  directed.director.apply({ op: 'stop-daemon', role: 'backup' }, 0);
  expect(directed.receive('203.0.113.7:1 > 192.0.2.80:80 SYN')).toBe('forwarded');
});

test('verdicts are counted', () => {
  const directed = new Directed().serve(WEB, ['10.0.0.1:80']);
  directed.receive('203.0.113.7:1 > 192.0.2.80:80 SYN');
  directed.receive('203.0.113.7:1 > 192.0.2.80:80 ACK');
  directed.receive('203.0.113.7:2 > 192.0.2.80:80 ACK');
  expect(directed.director.snapshot(0).counts).toMatchObject({
    forwarded: 2,
    passed: 1,
    admitted: 1,
    scheduled: 1,
  });
});

describe('a packet of a known connection allocates no garbage', () => {
  const PACKETS = 1_000_000;
  const ROUTE = { mtu: 1500, source: Uint32Array.of(0, 0, 0xffff, 0x0a0000fe) };

  test.each([
    ['nat, a request', 'nat', '203.0.113.7:4000 > 192.0.2.80:80 ACK len=10'],
    ['nat, a reply', 'nat', '10.0.0.1:80 > 203.0.113.7:4000 ACK len=10'],
    ['tunnel', 'tunnel', '203.0.113.7:4000 > 192.0.2.80:80 ACK len=10'],
  ] as const)('%s', async (_name, method, line) => {
    const directed = new Directed({
      host: { transmit: () => true, route: () => ROUTE, isLocal: () => false },
    });
    directed.serve(WEB, ['10.0.0.1:80'], { method });
    directed.receive('203.0.113.7:4000 > 192.0.2.80:80 SYN');
    const { director } = directed;
    const octets = packetOfLine(line);
    const frame = new Frame();
    const handleMany = (packets: number) => {
      for (let i = 0; i < packets; i++) {
        frame.load(octets);
        if (director.handle(frame, i >> 10) !== 'forwarded') throw new Error('not forwarded');
      }
    };
    handleMany(PACKETS / 10); // so that the code is optimized
    expect(await collectionsDuring(() => handleMany(PACKETS))).toBe(0);
  });
});

test('the clock may jump by years, as between two packets of a file', () => {
  const directed = new Directed().serve(WEB, ['10.0.0.1:80']);
  directed.set('drop_entry', 3);
  directed.receive('203.0.113.7:1 > 192.0.2.80:80 SYN');
  directed.now = 2 ** 32 * 1000;
  expect(directed.receive('203.0.113.7:1 > 192.0.2.80:80 SYN')).toBe('forwarded');
  expect(directed.connections).toHaveLength(1);
});

test('NAT to the director itself does not count as a hop', () => {
  const directed = new Directed();
  directed.own.add('10.0.0.254');
  directed.serve(WEB, [`${OWN}:8080`]);
  expect(directed.receive('203.0.113.7:1 > 192.0.2.80:80 SYN ttl=1')).toBe('forwarded');
});

import { describe, expect, test } from 'vitest';
import { complement, sum } from '../../../src/wire/checksum.ts';
import { ICMP } from '../../../src/wire/icmp.ts';
import { packetOfLine } from '../../../src/wire/packet-line.ts';
import { Directed } from '../../support/directed.ts';

const DNS = 'udp 192.0.2.80:53';
const SERVER = '10.0.0.1:5353';
const query = '203.0.113.7:4000 > 192.0.2.80:53 UDP len=10';
const asked = (method: 'nat' | 'dr' | 'tunnel' = 'nat') => {
  const directed = new Directed().serve(DNS, [method === 'nat' ? SERVER : '10.0.0.1:53'], { method });
  directed.receive(query);
  return directed;
};

describe('an ICMP error from the server side', () => {
  const error = (from: string, kind: string) =>
    `${from} > 203.0.113.7 ICMP ${kind} [203.0.113.7:4000 > 10.0.0.1:5353 UDP len=10]`;

  test.each(['10.0.0.1', '10.0.0.99'])(
    'reaches the client with the address of the virtual service, sent by %s',
    (from) => {
      const directed = asked();
      expect(directed.receive(error(from, 'port-unreachable'))).toBe('forwarded');
      expect(directed.sent[0]).toContain('192.0.2.80 > 203.0.113.7 ICMP port-unreachable');
      expect(directed.sent[0]).toContain('[203.0.113.7:4000 > 192.0.2.80:53 UDP');
      expect(directed.sent[0]).not.toContain('bad');
    },
  );

  test('counts as traffic of the destination and restarts no timer', () => {
    const directed = asked();
    directed.wait(100);
    directed.receive(error('10.0.0.1', 'port-unreachable'));
    directed.wait(2);
    expect(directed.destination(DNS, SERVER).stats.outPackets).toBe(1);
    expect([...directed.director.connections(directed.now)][0]!.expires).toBe(198);
  });

  test('about a packet without a connection is passed', () => {
    expect(new Directed().serve(DNS, [SERVER]).receive(error('10.0.0.1', 'port-unreachable'))).toBe('pass');
  });
});

describe('an ICMP error from the client side', () => {
  const error = (kind: string) =>
    `203.0.113.7 > 192.0.2.80 ICMP ${kind} [192.0.2.80:53 > 203.0.113.7:4000 UDP len=10]`;

  test('reaches the server, quoting the packet that the server sent', () => {
    const directed = asked();
    expect(directed.receive(error('frag-needed mtu=1300'))).toBe('forwarded');
    expect(directed.sent[0]).toContain('203.0.113.7 > 10.0.0.1 ICMP frag-needed');
    expect(directed.sent[0]).toContain('[10.0.0.1:5353 > 203.0.113.7:4000 UDP');
  });

  test('reaches the server unchanged with direct routing', () => {
    const directed = asked('dr');
    expect(directed.way(error('port-unreachable'))).toBe('10.0.0.1');
    expect(directed.sent[0]).toContain('203.0.113.7 > 192.0.2.80 ICMP port-unreachable');
  });

  test('reaches the server through its tunnel', () => {
    const directed = asked('tunnel');
    directed.receive(error('port-unreachable'));
    expect(directed.sent[0]).toContain(
      '10.0.0.254 > 10.0.0.1 IPIP [203.0.113.7 > 192.0.2.80 ICMP port-unreachable',
    );
  });

  test.each(['echo-request', 'redirect', '12/0'])('of another type is not forwarded: %s', (kind) => {
    expect(asked().receive(error(kind))).toBe('pass');
  });

  test('creates a connection only with schedule_icmp, for three seconds', () => {
    const directed = new Directed().serve(DNS, [SERVER]);
    expect(directed.receive(error('port-unreachable'))).toBe('pass');
    directed.set('schedule_icmp', 1);
    expect(directed.way(error('port-unreachable'))).toBe('10.0.0.1');
    directed.wait(3.1);
    expect(directed.connections).toEqual([]);
  });
});

test('an error about a tunnel packet reaches the client translated to the inner packet', () => {
  const directed = asked('tunnel');
  const long = '203.0.113.7:4000 > 192.0.2.80:53 UDP len=1372 DF';
  const verdict = directed.receive(
    `10.0.0.99 > 10.0.0.254 ICMP frag-needed mtu=1200 [10.0.0.254 > 10.0.0.1 IPIP DF [${long}]]`,
  );
  expect(verdict).toBe('answered');
  expect(directed.sent[0]).toContain('192.0.2.80 > 203.0.113.7 ICMP frag-needed');
  // The path is known to be narrow from now on.
  expect(directed.receive(long)).toBe('too-big');
  expect(directed.sent[0]).toContain('mtu=1180');
});

test('ICMPv6 errors are handled like ICMP errors', () => {
  const directed = new Directed().serve('udp [2001:db8::80]:53', ['[fd00::1]:5353']);
  directed.receive('[2001:db8::7]:4000 > [2001:db8::80]:53 UDP len=10');
  directed.receive(
    'fd00::1 > 2001:db8::7 ICMP6 port-unreachable [[2001:db8::7]:4000 > [fd00::1]:5353 UDP len=10]',
  );
  expect(directed.sent[0]).toContain(
    '2001:db8::80 > 2001:db8::7 ICMP6 port-unreachable [[2001:db8::7]:4000 > [2001:db8::80]:53 UDP',
  );
  directed.receive(
    '2001:db8::7 > 2001:db8::80 ICMP6 too-big mtu=1300 [[2001:db8::80]:53 > [2001:db8::7]:4000 UDP len=10]',
  );
  expect(directed.sent[0]).toContain('2001:db8::7 > fd00::1 ICMP6 too-big');
  expect(directed.sent[0]).toContain('[[fd00::1]:5353 > [2001:db8::7]:4000 UDP');
});

describe('a server packet outside any connection', () => {
  const stray = (flags: string) => `10.0.0.1:80 > 203.0.113.7:4000 ${flags}`;

  test('is passed, or refused under nat_icmp_send, except for resets', () => {
    const directed = new Directed().serve('tcp 192.0.2.80:80', ['10.0.0.1:80']);
    expect(directed.receive(stray('ACK'))).toBe('pass');
    directed.set('nat_icmp_send', 1);
    expect(directed.receive(stray('RST'))).toBe('pass');
    expect(directed.receive(stray('ACK'))).toBe('no-connection');
    expect(directed.sent[0]).toContain('10.0.0.254 > 10.0.0.1 ICMP port-unreachable');
  });
});

describe('an ICMP error with an impossible combination', () => {
  const serving6 = () => {
    const directed = new Directed().serve('udp [2001:db8::80]:53', ['[fd00::1]:5353']).serve(DNS, [SERVER]);
    directed.receive('[2001:db8::7]:4000 > [2001:db8::80]:53 UDP len=10');
    return directed;
  };

  test('of IPv4 that quotes IPv6 is passed to the host', () => {
    const directed = serving6();
    const verdict = directed.receive(
      '10.0.0.1 > 203.0.113.7 ICMP port-unreachable [[2001:db8::7]:4000 > [fd00::1]:5353 UDP len=10]',
    );
    expect([verdict, directed.sent]).toEqual(['pass', []]);
  });

  test('of IPv6 under the protocol number of ICMP is passed to the host', () => {
    const directed = serving6();
    const quoted = packetOfLine('[2001:db8::7]:4000 > [fd00::1]:5353 UDP len=10');
    const octets = packetOfLine(`fd00::1 > 2001:db8::7 proto=99 hex=${Buffer.from(quoted).toString('hex')}`);
    octets[6] = ICMP;
    // What would be the message's checksum lies in the quoted flow label.
    new DataView(octets.buffer).setUint16(
      42,
      complement(sum(new DataView(octets.buffer), 40, octets.length)),
    );
    expect(directed.receiveOctets(octets)).toBe('pass');
    expect(directed.sent).toEqual([]);
  });
});

import { describe, expect, test } from 'vitest';
import { Directed } from '../../support/directed.ts';

const WEB = 'tcp 192.0.2.80:80';
const DNS = 'udp 192.0.2.80:53';
const request = (flags: string, client = '203.0.113.7:4000') => `${client} > 192.0.2.80:80 ${flags}`;
const query = (client = '203.0.113.7:4000') => `${client} > 192.0.2.80:53 UDP len=10`;

describe('only the start of a connection makes one', () => {
  test.each([
    ['ACK', 'pass'],
    ['FIN+ACK', 'pass'],
    ['RST', 'pass'],
    ['SYN+RST', 'pass'],
    ['SYN', 'forwarded'],
    ['SYN+ACK', 'forwarded'],
    ['SYN+FIN', 'forwarded'],
  ])('%s: %s', (flags, verdict) => {
    const directed = new Directed().serve(WEB, ['10.0.0.1:80']);
    expect(directed.receive(request(flags))).toBe(verdict);
    expect(directed.connections).toHaveLength(verdict === 'forwarded' ? 1 : 0);
  });

  test('with sloppy_tcp any segment except a reset does', () => {
    const directed = new Directed().serve(WEB, ['10.0.0.1:80']);
    directed.set('sloppy_tcp', 1);
    expect(directed.receive(request('RST'))).toBe('pass');
    expect(directed.receive(request('ACK'))).toBe('forwarded');
    expect(directed.state).toBe('ESTABLISHED');
  });

  test('packets from port 20 do not: FTP servers open data connections', () => {
    const directed = new Directed().serve(WEB, ['10.0.0.1:80']);
    expect(directed.receive(request('SYN', '203.0.113.7:20'))).toBe('pass');
  });
});

describe('when no destination accepts the connection', () => {
  test.each([
    ['none is there', []],
    ['all are quiesced', ['10.0.0.1:80']],
  ])('the client learns that the port is closed: %s', (_name, servers) => {
    const directed = new Directed().serve(WEB, servers, { weight: 0 }).serve('tcp [2001:db8::80]:80', []);
    expect(directed.receive(request('SYN'))).toBe('no-destination');
    expect(directed.sent[0]).toContain('192.0.2.80 > 203.0.113.7 ICMP port-unreachable');
    expect(directed.receive('[2001:db8::7]:1 > [2001:db8::80]:80 SYN')).toBe('no-destination');
    expect(directed.sent[0]).toContain('2001:db8::80 > 2001:db8::7 ICMP6 port-unreachable');
    expect(directed.director.snapshot(0)).toMatchObject({
      drops: { 'no-destination': 2 },
      counts: { refused: 2 },
    });
  });

  test('packets to other ports of an FTP service are passed to the host', () => {
    const directed = new Directed().serve('tcp 192.0.2.80:21', [], { persistent: 60 });
    expect(directed.receive('203.0.113.7:1 > 192.0.2.80:5000 SYN')).toBe('pass');
    expect(directed.receive('203.0.113.7:1 > 192.0.2.80:21 SYN')).toBe('no-destination');
  });

  test('a packet with a mark is forwarded to its original address under cache_bypass', () => {
    const directed = new Directed().serve('mark 7', []);
    directed.director.apply({ op: 'set-marks', rules: [{ mark: 7 }] }, 0);
    directed.set('cache_bypass', 1);
    expect(directed.receive('203.0.113.7:1 > 198.51.100.1:80 SYN')).toBe('pass');
    expect(directed.receive(request('SYN'))).toBe('no-destination');
  });
});

describe('thresholds', () => {
  const syn = (n: number) => request('SYN', `203.0.113.7:${n}`);
  const limited = (lower: number) =>
    new Directed().serve(WEB, ['10.0.0.1:80'], { upperThreshold: 4, lowerThreshold: lower });

  test('an overloaded destination gets no new connections', () => {
    const directed = limited(0);
    expect([1, 2, 3, 4, 5].map((n) => directed.receive(syn(n)))).toEqual([
      'forwarded',
      'forwarded',
      'forwarded',
      'forwarded',
      'no-destination',
    ]);
    expect(directed.destination(WEB, '10.0.0.1:80').overloaded).toBe(true);
  });

  test.each([
    [0, 3, 'without a lower threshold: below three quarters'],
    [2, 2, 'with one: below it'],
  ])('a lower threshold of %i opens it when fewer than %i are left, %s', (lower, fewerThan, _why) => {
    const directed = limited(lower);
    for (const n of [1, 2, 3, 4]) directed.receive(syn(n));
    for (let left = 3; left >= 0; left--) {
      directed.receive(`10.0.0.1:80 > 203.0.113.7:${left + 1} RST`);
      directed.wait(10.1);
      expect([left, directed.destination(WEB, '10.0.0.1:80').overloaded]).toEqual([left, left >= fewerThan]);
      // The others would run out meanwhile.
      for (let n = 1; n <= left; n++) directed.receive(syn(n));
    }
  });

  test('raising the upper threshold opens it at once', () => {
    const directed = limited(0);
    for (const n of [1, 2, 3, 4]) directed.receive(syn(n));
    directed.edit(WEB, '10.0.0.1:80', { upperThreshold: 5 });
    expect(directed.receive(syn(5))).toBe('forwarded');
    expect(directed.receive(syn(6))).toBe('no-destination');
  });
});

describe('one-packet scheduling', () => {
  test('schedules each datagram and keeps no connection', () => {
    const directed = new Directed().serve(DNS, ['10.0.0.1:53', '10.0.0.2:53'], { ops: true });
    expect([query(), query(), query()].map((line) => directed.way(line))).toEqual([
      '10.0.0.2',
      '10.0.0.1',
      '10.0.0.2',
    ]);
    expect(directed.connections).toEqual([]);
    expect(directed.counts(DNS, '10.0.0.2:53')).toBe('0/0/0');
    expect(directed.receive('10.0.0.1:53 > 203.0.113.7:4000 UDP')).toBe('pass');
  });

  test('of a mark applies only to its UDP', () => {
    const directed = new Directed().serve('mark 7', ['10.0.0.1:0'], { ops: true });
    directed.director.apply({ op: 'set-marks', rules: [{ mark: 7 }] }, 0);
    directed.receive(query());
    directed.receive(request('SYN'));
    expect(directed.connections.map((line) => line.split(' ')[0])).toEqual(['TCP']);
  });
});

test('a full table of known connections admits no others and reports it', () => {
  const directed = new Directed({ maxConnections: 2 }).serve(DNS, ['10.0.0.1:53']);
  const verdicts = [1, 2, 3].map((n) => directed.receive(query(`203.0.113.7:${n}`)));
  expect(verdicts).toEqual(['forwarded', 'forwarded', 'table-full']);
});

test('a full table replaces embryonic connections, and keeps known ones', () => {
  const directed = new Directed({ maxConnections: 100 })
    .serve(WEB, ['10.0.0.1:80'])
    .serve(DNS, ['10.0.0.1:53']);
  for (let n = 4001; n <= 4050; n++) expect(directed.receive(query(`203.0.113.8:${n}`))).toBe('forwarded');
  for (let n = 2001; n <= 3000; n++)
    expect(directed.receive(request('SYN', `203.0.113.7:${n}`))).toBe('forwarded');
  const states = directed.connections.map((line) => line.split(' ')[0]);
  expect(states.filter((each) => each === 'UDP')).toHaveLength(50);
  // The latest ones are kept: the oldest were replaced.
  expect(directed.connections.some((line) => line.includes('203.0.113.7:3000'))).toBe(true);
});

test('in a nearly full table new clients replace embryonic connections that have waited for 3 s', () => {
  const directed = new Directed({ maxConnections: 100 }).serve(WEB, ['10.0.0.1:80']);
  const connect = (first: number, last: number) => {
    for (let n = first; n <= last; n++)
      expect(directed.receive(request('SYN', `203.0.113.7:${n}`))).toBe('forwarded');
  };
  connect(2001, 2090);
  expect(directed.director.context.table.size).toBe(90);
  directed.wait(2.9);
  connect(3001, 3005);
  expect(directed.director.context.table.size).toBe(95);
  directed.wait(0.2);
  connect(4001, 4050);
  expect(directed.director.context.table.size).toBe(95);
  expect(directed.connections.filter((line) => line.includes('203.0.113.7:30'))).toHaveLength(5);
});

test('embryonic connections of a persistent service give way in a full table, with their templates', () => {
  const directed = new Directed({ maxConnections: 100 }).serve(WEB, ['10.0.0.1:80'], { persistent: 100 });
  for (let n = 1; n <= 250; n++)
    expect(directed.receive(request('SYN', `198.18.0.${n}:4000`))).toBe('forwarded');
  const clients = directed.connections.map((line) => /198\.18\.0\.\d+/.exec(line)?.[0]);
  expect(clients).toContain('198.18.0.250');
  expect(clients).not.toContain('198.18.0.1');
});

test('a full table keeps no template without a connection', () => {
  const directed = new Directed({ maxConnections: 1 }).serve(WEB, ['10.0.0.1:80'], { persistent: 100 });
  expect(directed.receive(request('SYN'))).toBe('table-full');
  directed.wait(101);
  expect(directed.connections).toEqual([]);
});

test('a destination without a port is reached at the requested port', () => {
  const directed = new Directed().serve('mark 7', ['10.0.0.1:0']);
  directed.director.apply({ op: 'set-marks', rules: [{ mark: 7 }] }, 0);
  directed.receive(request('SYN'));
  expect(directed.sent[0]).toContain('> 10.0.0.1:80');
});

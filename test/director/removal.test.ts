import { describe, expect, test } from 'vitest';
import { Directed } from '../support/directed.ts';

const WEB = 'tcp 192.0.2.80:80';
const SERVER = '10.0.0.1:80';
const request = (flags: string, client = '203.0.113.7:4000') => `${client} > 192.0.2.80:80 ${flags}`;
const reply = (flags: string, client = '203.0.113.7:4000') => `${SERVER} > ${client} ${flags}`;

/** One server with one established connection. */
function established(method: 'nat' | 'dr' = 'nat'): Directed {
  const directed = new Directed().serve(WEB, [SERVER], { method });
  directed.receive(request('SYN'));
  directed.receive(request('ACK'));
  return directed;
}

describe('a removed destination', () => {
  test('gets no more requests, but its replies still reach the client', () => {
    const directed = established();
    directed.remove(WEB, SERVER);
    expect(directed.receive(request('ACK'))).toBe('destination-gone');
    expect(directed.receive(reply('ACK'))).toBe('forwarded');
    expect(directed.sent).toEqual(['192.0.2.80:80 > 203.0.113.7:4000 TCP ACK via 203.0.113.7']);
  });

  test('resumes its connections and its counters when it is added again', () => {
    const directed = established();
    directed.wait(2);
    directed.remove(WEB, SERVER);
    directed.wait(2);
    directed.add(WEB, SERVER);
    expect(directed.counts(WEB, SERVER)).toBe('1/0/0');
    expect(directed.destination(WEB, SERVER).stats).toMatchObject({ connections: 1, inPackets: 2 });
    expect(directed.way(request('ACK'))).toBe('10.0.0.1');
  });

  test('resumes them with their original forwarding method', () => {
    const directed = established('dr');
    directed.remove(WEB, SERVER);
    directed.add(WEB, SERVER, { method: 'nat' });
    directed.receive(request('ACK'));
    expect(directed.sent).toEqual(['203.0.113.7:4000 > 192.0.2.80:80 TCP ACK via 10.0.0.1']);
  });

  test('is a different one when it is added to another service', () => {
    const directed = established().serve('tcp 192.0.2.80:81', []);
    directed.remove(WEB, SERVER);
    directed.add('tcp 192.0.2.80:81', SERVER);
    expect(directed.counts('tcp 192.0.2.80:81', SERVER)).toBe('0/0/0');
    expect(directed.receive(request('ACK'))).toBe('destination-gone');
  });

  test('without connections is forgotten after a while', () => {
    const directed = established();
    directed.wait(2);
    directed.remove(WEB, SERVER);
    directed.wait(901);
    expect(directed.connections).toEqual([]);
    directed.wait(121);
    directed.add(WEB, SERVER);
    expect(directed.destination(WEB, SERVER).stats.connections).toBe(0);
  });

  test('takes its connections along under expire_nodest_conn', () => {
    const directed = established();
    directed.set('expire_nodest_conn', 1);
    directed.remove(WEB, SERVER);
    expect(directed.connections).toEqual([]);
    expect(directed.receive(request('ACK'))).toBe('pass');
  });

  test('takes a connection along at its next packet, when the setting changed later', () => {
    const directed = established();
    directed.remove(WEB, SERVER);
    directed.set('expire_nodest_conn', 1);
    expect(directed.connections).toHaveLength(1);
    expect(directed.receive(request('ACK'))).toBe('pass');
    expect(directed.connections).toEqual([]);
  });
});

describe('a removed service', () => {
  test('leaves its connections to be dropped while another service exists', () => {
    const directed = established().serve('tcp 192.0.2.81:80', []);
    directed.drop(WEB);
    expect(directed.receive(request('ACK'))).toBe('destination-gone');
    expect(directed.receive(request('SYN', '203.0.113.8:1'))).toBe('pass');
  });

  test('resumes them when it is added again with the same destination', () => {
    const directed = established();
    directed.drop(WEB);
    directed.serve(WEB, [SERVER]);
    expect(directed.counts(WEB, SERVER)).toBe('1/0/0');
    expect(directed.way(request('ACK'))).toBe('10.0.0.1');
    directed.wait(2);
    expect(directed.service(WEB).stats.inPackets).toBe(1);
  });
});

describe('a SYN of the same client and port', () => {
  /** Two servers; the first connection is with 10.0.0.2. */
  const closed = (...flags: string[]) => {
    const directed = new Directed().serve(WEB, ['10.0.0.1:80', '10.0.0.2:80']);
    for (const segment of ['SYN', ...flags]) directed.receive(request(segment));
    return directed;
  };

  test.each([
    ['established: the same server', ['ACK'], 1, '10.0.0.2'],
    ['closing: the same server', ['ACK', 'FIN+ACK'], 1, '10.0.0.2'],
    ['closed: a new one', ['ACK', 'RST'], 1, '10.0.0.1'],
    ['closed, conn_reuse_mode 0: the same one', ['ACK', 'RST'], 0, '10.0.0.2'],
  ])('%s', (_name, flags, mode, server) => {
    const directed = closed(...flags);
    directed.set('conn_reuse_mode', mode);
    expect(directed.way(request('SYN'))).toBe(server);
    expect(directed.connections).toHaveLength(1);
  });

  test('of a half-closed connection starts a new one under direct routing only with conn_reuse_mode 2', () => {
    for (const [mode, server] of [
      [1, '10.0.0.2'],
      [2, '10.0.0.1'],
    ] as const) {
      const directed = new Directed().serve(WEB, ['10.0.0.1:80', '10.0.0.2:80'], { method: 'dr' });
      directed.set('conn_reuse_mode', mode);
      for (const segment of ['SYN', 'ACK', 'FIN+ACK']) directed.receive(request(segment));
      expect(directed.way(request('SYN'))).toBe(server);
    }
  });

  test('to a quiesced server starts a new connection under expire_nodest_conn', () => {
    const directed = closed('ACK');
    directed.edit(WEB, '10.0.0.2:80', { weight: 0 });
    expect(directed.way(request('SYN'))).toBe('10.0.0.2');
    directed.set('expire_nodest_conn', 1);
    expect(directed.way(request('SYN'))).toBe('10.0.0.1');
  });
});

test('with expire_nodest_conn, the connections of a removed destination end in portions', () => {
  const directed = new Directed({ maxConnections: 8192 }).serve(WEB, [SERVER]);
  directed.set('expire_nodest_conn', 1);
  for (let port = 10_001; port <= 15_000; port++) directed.receive(request('SYN', `203.0.113.7:${port}`));
  const left = () => directed.director.context.table.size;
  expect(left()).toBe(5000);
  directed.remove(WEB, SERVER);
  expect(left()).toBeLessThan(5000);
  expect(left()).toBeGreaterThan(1000);
  directed.wait(0.01);
  directed.wait(0.01);
  expect(left()).toBe(0);
});

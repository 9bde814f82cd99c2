import { describe, expect, test } from 'vitest';
import type { ServiceOptions } from '../../../src/model/service.ts';
import { Directed } from '../../support/directed.ts';

const SERVERS = ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80'];
const WEB = 'tcp 192.0.2.80:80';
const web = (options: Partial<ServiceOptions> = {}) =>
  new Directed().serve(WEB, SERVERS, { persistent: 100, ...options });
const syn = (from: string, to = '192.0.2.80:80') => `${from} > ${to} SYN`;
const templates = (directed: Directed) => directed.connections.filter((line) => line.includes(':0 '));

test('a client stays with its server, and other clients have theirs', () => {
  const directed = web();
  const ways = ['203.0.113.7:1', '203.0.113.7:2', '203.0.113.8:1', '203.0.113.7:3'].map((c) =>
    directed.way(syn(c)),
  );
  expect(ways).toEqual(['10.0.0.3', '10.0.0.3', '10.0.0.2', '10.0.0.3']);
  expect(directed.counts(WEB, '10.0.0.3:80')).toBe('3/0/1');
});

test('clients of one network count as one client', () => {
  const directed = web({ persistencePrefix: 24 });
  const ways = ['203.0.113.7:1', '203.0.113.200:1', '203.0.114.7:1'].map((c) => directed.way(syn(c)));
  expect(ways).toEqual(['10.0.0.3', '10.0.0.3', '10.0.0.2']);
  expect(templates(directed)).toContain('TCP NONE 203.0.113.0:0 192.0.2.80:80 10.0.0.3:80');
});

test('clients of one IPv6 network count as one client', () => {
  const directed = new Directed().serve('tcp [2001:db8::80]:80', ['[fd00::1]:80', '[fd00::2]:80'], {
    persistent: 100,
    persistencePrefix: 64,
  });
  const ways = ['[2001:db8:1::7]:1', '[2001:db8:1::8]:1', '[2001:db8:2::7]:1'].map((c) =>
    directed.way(syn(c, '[2001:db8::80]:80')),
  );
  expect(ways).toEqual(['fd00::2', 'fd00::2', 'fd00::1']);
});

describe('a template', () => {
  test('is assured after a connection of its client is established', () => {
    const directed = web();
    directed.receive(syn('203.0.113.7:1'));
    expect(templates(directed)).toEqual(['TCP NONE 203.0.113.7:0 192.0.2.80:80 10.0.0.3:80']);
    directed.receive('203.0.113.7:1 > 192.0.2.80:80 ACK');
    expect(templates(directed)).toEqual(['TCP ASSURED 203.0.113.7:0 192.0.2.80:80 10.0.0.3:80']);
  });

  test('restarts its timer with the last connection that used it', () => {
    const directed = web();
    directed.receive(syn('203.0.113.7:1'));
    directed.wait(70);
    expect(directed.way(syn('203.0.113.7:2'))).toBe('10.0.0.3');
    directed.wait(70);
    expect(directed.way(syn('203.0.113.7:3'))).toBe('10.0.0.3');
  });

  test('that expires while it has connections gets another minute', () => {
    const directed = web();
    directed.receive(syn('203.0.113.7:1'));
    directed.receive('203.0.113.7:1 > 192.0.2.80:80 ACK');
    directed.wait(101);
    expect(templates(directed)).toHaveLength(1);
    directed.wait(890);
    expect(directed.connections).toEqual(templates(directed));
    directed.wait(61);
    expect(directed.connections).toEqual([]);
  });

  test('is removed with its last connection when both expire nearly together', () => {
    const directed = new Directed().serve('udp 192.0.2.80:53', ['10.0.0.1:53'], { persistent: 300 });
    directed.receive('203.0.113.7:1 > 192.0.2.80:53 UDP');
    directed.wait(1);
    directed.receive('203.0.113.7:1 > 192.0.2.80:53 UDP');
    directed.wait(299.5);
    expect(directed.connections).toHaveLength(2);
    directed.wait(1);
    directed.wait(3);
    expect(directed.connections).toEqual([]);
  });

  test('of a quiesced server still selects it, unless expire_quiescent_template is set', () => {
    const directed = web();
    directed.receive(syn('203.0.113.7:1'));
    directed.edit(WEB, '10.0.0.3:80', { weight: 0 });
    expect(directed.way(syn('203.0.113.7:2'))).toBe('10.0.0.3');
    directed.set('expire_quiescent_template', 1);
    expect(directed.way(syn('203.0.113.7:3'))).toBe('10.0.0.2');
    expect(templates(directed)).toContain('TCP NONE 203.0.113.7:0 192.0.2.80:65535 10.0.0.3:65535');
  });

  test('of a removed server is not used', () => {
    const directed = web();
    directed.receive(syn('203.0.113.7:1'));
    directed.remove(WEB, '10.0.0.3:80');
    expect(directed.way(syn('203.0.113.7:2'))).toBe('10.0.0.2');
    expect(directed.way(syn('203.0.113.7:3'))).toBe('10.0.0.2');
  });

  test('selects a server above its upper threshold', () => {
    const directed = web();
    directed.edit(WEB, '10.0.0.3:80', { upperThreshold: 1 });
    const ways = [1, 2, 3].map((port) => directed.way(syn(`203.0.113.7:${port}`)));
    expect(ways).toEqual(['10.0.0.3', '10.0.0.3', '10.0.0.3']);
  });
});

test('a service of all ports keeps a client on one server for all ports', () => {
  const directed = new Directed().serve('tcp 192.0.2.80:0', ['10.0.0.1:0', '10.0.0.2:0'], {
    persistent: 100,
  });
  expect(directed.way(syn('203.0.113.7:1', '192.0.2.80:80'))).toBe('10.0.0.2');
  expect(directed.way(syn('203.0.113.7:2', '192.0.2.80:443'))).toBe('10.0.0.2');
  expect(directed.sent[0]).toContain('> 10.0.0.2:443');
  expect(templates(directed)).toEqual(['TCP NONE 203.0.113.7:0 192.0.2.80:0 10.0.0.2:0']);
});

test.each([
  [
    'mark 7',
    '203.0.113.7',
    '192.0.2.80',
    ['10.0.0.1:0', '10.0.0.2:0'],
    'IP NONE 203.0.113.7:0 0.0.0.7:0 10.0.0.2:0',
  ],
  [
    'mark6 7',
    '[2001:db8::7]',
    '[2001:db8::80]',
    ['[fd00::1]:0', '[fd00::2]:0'],
    'IP NONE 2001:db8::7:0 0:7:::0 fd00::2:0',
  ],
])('%s groups the packets that carry it', (name, client, vip, servers, template) => {
  const directed = new Directed().serve(name, servers, { persistent: 100 });
  directed.director.apply({ op: 'set-marks', rules: [{ mark: 7 }] }, 0);
  const first = directed.way(syn(`${client}:1`, `${vip}:80`));
  expect(directed.way(syn(`${client}:2`, `${vip}:443`))).toBe(first);
  expect(directed.way(`${client}:3 > ${vip}:53 UDP`)).toBe(first);
  expect(directed.connections.filter((line) => line.startsWith('IP'))).toEqual([template]);
});

describe('the engine "sip"', () => {
  const CALLS = 'udp 192.0.2.80:5060';
  const calls = () =>
    new Directed().serve(CALLS, ['10.0.0.1:5060', '10.0.0.2:5060'], { persistent: 100, engine: 'sip' });
  const message = (client: string, id: string) =>
    `${client} > 192.0.2.80:5060 UDP hex=${Buffer.from(`INVITE sip:a SIP/2.0\r\n${id}\r\n\r\n`).toString('hex')}`;

  test('keeps the messages of one call together, with either form of the header name', () => {
    const directed = calls();
    expect(directed.way(message('203.0.113.7:1', 'Call-ID: one@host'))).toBe('10.0.0.2');
    expect(directed.way(message('203.0.113.7:2', 'Call-ID: two@host'))).toBe('10.0.0.1');
    expect(directed.way(message('203.0.113.7:3', 'i:one@host'))).toBe('10.0.0.2');
    expect(directed.way(message('203.0.113.7:4', 'CALL-ID :\ttwo@host'))).toBe('10.0.0.1');
  });

  test('distinguishes clients even for the same call', () => {
    const directed = calls();
    expect(directed.way(message('203.0.113.7:1', 'Call-ID: one@host'))).toBe('10.0.0.2');
    expect(directed.way(message('203.0.113.8:1', 'Call-ID: one@host'))).toBe('10.0.0.1');
  });

  test('shows the Call-ID that it found', () => {
    const directed = calls();
    directed.receive(message('203.0.113.7:1', 'Call-ID: one@host'));
    const template = [...directed.director.connections(0)].find((connection) => connection.template);
    expect([template?.engine, template?.engineData]).toEqual(['sip', 'one@host']);
  });

  test.each(['garbage', 'Call-ID:', 'Call-IDs: x', `Call-ID: ${'x'.repeat(256)}`])(
    'ignores %.20s',
    (line) => {
      const directed = calls();
      expect(directed.receive(message('203.0.113.7:1', line))).toBe('engine-unparsable');
      expect(directed.connections).toEqual([]);
    },
  );
});

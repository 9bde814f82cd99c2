import { expect, test } from 'vitest';
import { Directed } from '../../support/directed.ts';

test('an association follows the states from INIT to the end', () => {
  const directed = new Directed().serve('sctp 192.0.2.80:9999', ['10.0.0.1:9998']);
  const chunks = [
    ['>', 'INIT', 'INIT1'],
    ['<', 'INIT_ACK', 'C-SENT'],
    ['>', 'COOKIE_ECHO', 'C-REPLIED'],
    ['<', 'COOKIE_ACK', 'ESTABLISHED'],
    ['>', 'DATA', 'ESTABLISHED'],
    ['<', 'SACK', 'ESTABLISHED'],
    ['>', 'SHUTDOWN', 'S-RECEIVED'],
    ['<', 'SHUTDOWN_ACK', 'S-ACK-SENT'],
    ['>', 'SHUTDOWN_COMPLETE', 'CLOSED'],
  ];
  for (const [side, chunk, state] of chunks) {
    const ends = side === '>' ? '203.0.113.7:7 > 192.0.2.80:9999' : '10.0.0.1:9998 > 203.0.113.7:7';
    expect([directed.receive(`${ends} SCTP ${chunk}`), directed.state]).toEqual(['forwarded', state]);
  }
});

test('only an established association is active', () => {
  const directed = new Directed().serve('sctp 192.0.2.80:9999', ['10.0.0.1:9998']);
  const counts = () => directed.counts('sctp 192.0.2.80:9999', '10.0.0.1:9998');
  directed.receive('203.0.113.7:7 > 192.0.2.80:9999 SCTP INIT');
  expect(counts()).toBe('0/1/0');
  directed.receive('10.0.0.1:9998 > 203.0.113.7:7 SCTP COOKIE_ACK');
  expect(counts()).toBe('1/0/0');
});

test('chunks other than INIT start no association, unless sloppy_sctp is set', () => {
  const directed = new Directed().serve('sctp 192.0.2.80:9999', ['10.0.0.1:9998']);
  const data = '203.0.113.7:7 > 192.0.2.80:9999 SCTP DATA';
  expect(directed.receive(data)).toBe('pass');
  directed.set('sloppy_sctp', 1);
  expect(directed.receive(data)).toBe('forwarded');
});

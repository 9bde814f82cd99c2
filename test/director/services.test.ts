import { describe, expect, test } from 'vitest';
import { Directed } from '../support/directed.ts';

const syn = (to: string, from = '203.0.113.7:4000') => `${from} > ${to} SYN`;

describe('the director assigns a packet to', () => {
  test('the exact service before the service of all ports', () => {
    const directed = new Directed();
    directed
      .serve('tcp 192.0.2.80:0', ['10.0.0.2:0'], { persistent: 10 })
      .serve('tcp 192.0.2.80:80', ['10.0.0.1:80']);
    expect(directed.way(syn('192.0.2.80:80'))).toBe('10.0.0.1');
    expect(directed.way(syn('192.0.2.80:82'))).toBe('10.0.0.2');
  });

  test('the service of its mark before the service of its address', () => {
    const directed = new Directed()
      .serve('tcp 192.0.2.80:80', ['10.0.0.1:80'])
      .serve('mark 7', ['10.0.0.2:0']);
    expect(directed.way(syn('192.0.2.80:80'))).toBe('10.0.0.1');
    directed.director.apply({ op: 'set-marks', rules: [{ mark: 7, to: '192.0.2.0/24', port: 80 }] }, 0);
    expect(directed.way(syn('192.0.2.80:80', '203.0.113.8:4000'))).toBe('10.0.0.2');
  });

  test('the service of its address when no service has its mark', () => {
    const directed = new Directed().serve('tcp 192.0.2.80:80', ['10.0.0.1:80']);
    directed.director.apply({ op: 'set-marks', rules: [{ mark: 7 }] }, 0);
    expect(directed.way(syn('192.0.2.80:80'))).toBe('10.0.0.1');
  });

  test('no service when address, port, protocol or family differ', () => {
    const directed = new Directed().serve('tcp 192.0.2.80:80', ['10.0.0.1:80']);
    expect(directed.way(syn('192.0.2.80:81'))).toBe('pass');
    expect(directed.way(syn('192.0.2.81:80'))).toBe('pass');
    expect(directed.way('203.0.113.7:4000 > 192.0.2.80:80 UDP')).toBe('pass');
    expect(directed.way('[2001:db8::7]:4000 > [2001:db8::80]:80 SYN')).toBe('pass');
  });

  test('the FTP service when it may be FTP data, and only at its address', () => {
    const directed = new Directed().serve('tcp 192.0.2.80:21', ['10.0.0.1:21'], { persistent: 100 });
    expect(directed.way(syn('192.0.2.80:21'))).toBe('10.0.0.1');
    expect(directed.way(syn('192.0.2.80:50000'))).toBe('10.0.0.1');
    expect(directed.way(syn('192.0.2.80:22'))).toBe('pass');
  });

  test('a service at 0.0.0.0 only for that address, as for any other', () => {
    const directed = new Directed().serve('tcp 0.0.0.0:81', ['10.0.0.1:80']);
    expect(directed.way(syn('192.0.2.80:81'))).toBe('pass');
  });
});

test('a packet is passed when no service of its family exists, even for a known connection', () => {
  const directed = new Directed().serve('tcp 192.0.2.80:80', ['10.0.0.1:80']);
  directed.receive(syn('192.0.2.80:80'));
  directed.drop('tcp 192.0.2.80:80');
  expect(directed.receive('203.0.113.7:4000 > 192.0.2.80:80 ACK')).toBe('pass');
  expect(directed.receive('10.0.0.1:80 > 203.0.113.7:4000 ACK')).toBe('pass');
});

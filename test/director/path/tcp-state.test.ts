import { describe, expect, test } from 'vitest';
import { Directed } from '../../support/directed.ts';

const CLIENT = '203.0.113.7:4000';
const WEB = '192.0.2.80:80';
const SERVER = '10.0.0.1:80';
const web = (method: 'nat' | 'dr' = 'nat') => new Directed().serve('tcp 192.0.2.80:80', [SERVER], { method });

/** States after each segment: `> FLAGS` from the client, `< FLAGS` from the server. */
function states(directed: Directed, ...segments: string[]): string[] {
  return segments.map((segment) => {
    const flags = segment.slice(2);
    directed.receive(
      segment.startsWith('>') ? `${CLIENT} > ${WEB} ${flags}` : `${SERVER} > ${CLIENT} ${flags}`,
    );
    return directed.state;
  });
}

describe('under NAT, which sees both directions,', () => {
  test('a client opens, transfers data and closes', () => {
    expect(
      states(web(), '> SYN', '< SYN+ACK', '> ACK', '< ACK', '> FIN+ACK', '< ACK', '< FIN+ACK', '> ACK'),
    ).toEqual([
      'SYN_RECV',
      'SYN_RECV',
      'ESTABLISHED',
      'ESTABLISHED',
      'CLOSE_WAIT',
      'CLOSE_WAIT',
      'TIME_WAIT',
      'TIME_WAIT',
    ]);
  });

  test('a server can close first', () => {
    expect(states(web(), '> SYN', '< SYN+ACK', '> ACK', '< FIN+ACK', '> ACK', '> FIN+ACK')).toEqual([
      'SYN_RECV',
      'SYN_RECV',
      'ESTABLISHED',
      'FIN_WAIT',
      'FIN_WAIT',
      'TIME_WAIT',
    ]);
  });

  test('a server refuses, and a client cannot withdraw its SYN', () => {
    expect(states(web(), '> SYN', '> RST', '< RST+ACK')).toEqual(['SYN_RECV', 'SYN_RECV', 'CLOSE']);
  });

  test('a reset ends the connection whatever other flags the segment has', () => {
    expect(states(web(), '> SYN', '> ACK', '> FIN+RST+ACK')).toEqual(['SYN_RECV', 'ESTABLISHED', 'CLOSE']);
  });
});

test('under direct routing only the FIN of the client is seen', () => {
  expect(states(web('dr'), '> SYN', '> ACK', '> FIN+ACK', '> ACK')).toEqual([
    'SYN_RECV',
    'ESTABLISHED',
    'FIN_WAIT',
    'FIN_WAIT',
  ]);
});

test('under secure_tcp only a server packet makes a connection established', () => {
  const directed = web();
  directed.set('secure_tcp', 3);
  expect(states(directed, '> SYN', '> ACK', '< SYN+ACK', '> ACK', '< ACK')).toEqual([
    'SYN_RECV',
    'SYN_RECV',
    'SYNACK',
    'SYNACK',
    'ESTABLISHED',
  ]);
});

test.each([
  ['SYN_RECV', ['> SYN'], 60],
  ['ESTABLISHED', ['> SYN', '> ACK'], 900],
  ['CLOSE_WAIT', ['> SYN', '> ACK', '> FIN+ACK'], 60],
  ['TIME_WAIT', ['> SYN', '> ACK', '> FIN+ACK', '< FIN+ACK'], 120],
  ['FIN_WAIT', ['> SYN', '> ACK', '< FIN+ACK'], 120],
  ['CLOSE', ['> SYN', '> ACK', '> RST'], 10],
])('%s lasts as long as in the kernel', (state, segments, seconds) => {
  const directed = web();
  expect(states(directed, ...segments).at(-1)).toBe(state);
  directed.wait(seconds - 1);
  expect(directed.connections).toHaveLength(1);
  directed.wait(1.1);
  expect(directed.connections).toEqual([]);
});

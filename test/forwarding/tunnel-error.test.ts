import { describe, expect, test } from 'vitest';
import { gatewayAnswer } from './tunnel-errors.ts';

describe.each([
  ['10.0.0.10', '10.9.0.1', '10.1.0.11'],
  ['fd00::10', 'fd09::1', 'fd01::11'],
])('a router on the path from the director to %s', (client, vip, server) => {
  const v4 = !client.includes(':');
  const answer = (partial: Parameters<typeof gatewayAnswer>[3]) =>
    gatewayAnswer(client, vip, server, partial);

  test('that reports "too big" lowers the path MTU, and the client gets the known and then the new size', () => {
    const { verdict, sent, mtu } = answer({ type: v4 ? 3 : 2, code: v4 ? 4 : 0, rest: 1400 });
    expect(verdict).toBe('answered');
    expect(sent).toEqual([
      { from: vip, to: client, type: v4 ? 3 : 2, code: v4 ? 4 : 0, mtu: 1500 - (v4 ? 20 : 40) },
    ]);
    expect(mtu).toBe(1400);
  });

  test('is believed only about a packet that the director sent and that exceeds the reported MTU', () => {
    const tooBig = { type: v4 ? 3 : 2, code: v4 ? 4 : 0 };
    expect(answer({ ...tooBig, rest: 1400, isForged: true }).mtu).toBe(1500);
    expect(answer({ ...tooBig, rest: 1400, payload: 100 }).mtu).toBe(1500);
  });

  test('never lowers the path MTU so far that no packet fits through the tunnel', () => {
    const { mtu } = answer({ type: v4 ? 3 : 2, code: v4 ? 4 : 0, rest: v4 ? 68 : 1280 });
    expect(mtu).toBe(v4 ? 552 : 1320);
  });

  test('that reports "unreachable" or "time exceeded" has its error passed to the client', () => {
    const kinds = v4
      ? [
          [3, 1],
          [11, 0],
        ]
      : [
          [1, 0],
          [3, 0],
        ];
    for (const [type, code] of kinds as [number, number][]) {
      const { verdict, sent } = answer({ type, code, rest: 0 });
      expect(verdict).toBe('answered');
      expect(sent).toEqual([{ from: vip, to: client, type, code, mtu: 0 }]);
    }
  });

  test('that reports anything else has its error ignored', () => {
    expect(answer({ type: v4 ? 5 : 4, code: 0, rest: 0 })).toMatchObject({ verdict: 'icmp-kind', sent: [] });
  });

  test('is not believed about another real server, nor with a wrong checksum', () => {
    const kind = { type: v4 ? 3 : 1, code: 1, rest: 0 };
    const other = v4 ? '10.1.0.12' : 'fd01::12';
    expect(answer({ ...kind, boundTo: other })).toMatchObject({ verdict: 'pass', sent: [] });
    expect(answer({ ...kind, damaged: true })).toMatchObject({ verdict: 'malformed', sent: [] });
  });
});

test('an IPv6 client gets no error of an IPv4 tunnel, but the path MTU is learned', () => {
  const result = gatewayAnswer('fd00::10', 'fd09::1', '10.1.0.11', { type: 3, code: 4, rest: 1400 });
  expect(result).toMatchObject({ sent: [], mtu: 1400 });
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AccessEntry } from '../../src/model/access-list.ts';
import { BlockedClients } from '../../src/runtime/blocked-clients.ts';
import { openOperatorState } from '../../src/runtime/operator-state.ts';
import { packetOfLine } from '../../src/wire/packet-line.ts';
import { Directed } from '../support/directed.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lvs-blocked-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const WEB = { protocol: 'tcp', address: '192.0.2.80', port: 80 } as const;
const MAIL = { ...WEB, port: 25 };

/** A director with two services, and the state that an earlier one has left; `time`: wall clock, seconds. */
function blocking(time = 0) {
  const directed = new Directed({ maxConnections: 1024 });
  for (const port of [80, 25]) directed.serve(`tcp 192.0.2.80:${port}`, ['10.0.0.1:80']);
  directed.serve('tcp [2001:db8::80]:80', ['[fd00::1]:80']);
  const logged: string[] = [];
  const log = (_level: string, event: string, fields: object = {}) =>
    void logged.push(`${event} ${JSON.stringify(fields)}`);
  const clock = { time };
  const blocked = new BlockedClients({
    ...{ director: directed.director, log, state: openOperatorState(join(folder, 'director.sock'), log) },
    wallClock: () => clock.time * 1000,
  });
  blocked.restore();
  let port = 1000;
  /** Verdict on the first packet of a new connection. */
  const connect = (client: string, to = 80) =>
    directed.receive(
      client.includes(':')
        ? `[${client}]:${port++} > [2001:db8::80]:80 TCP SYN`
        : `${client}:${port++} > 192.0.2.80:${to} TCP SYN`,
    );
  const explain = (client: string) =>
    blocked
      .explained(directed.director.explain(packetOfLine(`${client}:9 > 192.0.2.80:80 TCP SYN`), directed.now))
      .steps.find(({ step }) => step === 'access');
  return { directed, blocked, clock, connect, explain, logged };
}

const entry = (list: AccessEntry['list'], prefix: string, more: Partial<AccessEntry> = {}): AccessEntry => ({
  ...{ list, prefix },
  ...more,
});

describe('a denied client', () => {
  test('loses its connections, and gets no new ones, until its time is over', async () => {
    const { directed, blocked, clock, connect, logged } = blocking();
    for (const client of ['198.51.100.7', '198.51.100.8']) expect(connect(client)).toBe('forwarded');
    expect(connect('198.51.100.7', 25)).toBe('forwarded');
    expect(await blocked.deny({ address: '198.51.100.7', seconds: 600 })).toEqual({
      ...{ prefix: '198.51.100.7', left: 600, ended: 2 },
    });
    expect(directed.connections).toHaveLength(1);
    expect(connect('198.51.100.7')).toBe('denied');
    expect(connect('198.51.100.8')).toBe('forwarded');
    // What remains of its connections reaches neither side.
    expect(directed.receive('198.51.100.7:1000 > 192.0.2.80:80 TCP ACK')).toBe('denied');
    clock.time = 599;
    blocked.tick();
    expect(connect('198.51.100.7')).toBe('denied');
    clock.time = 600;
    blocked.tick();
    expect(connect('198.51.100.7')).toBe('forwarded');
    expect(logged).toEqual([
      'client-denied {"client":"198.51.100.7","service":"all","seconds":600}',
      'client-undenied {"client":"198.51.100.7","reason":"time"}',
    ]);
    expect(directed.director.snapshot(0).drops).toEqual({ denied: 3 });
  });

  test('keeps its connections with newOnly', async () => {
    const { directed, blocked, connect } = blocking();
    connect('198.51.100.7');
    expect(await blocked.deny({ address: '198.51.100.7', newOnly: true })).toMatchObject({ ended: 0 });
    expect(directed.receive('198.51.100.7:1000 > 192.0.2.80:80 TCP ACK')).toBe('forwarded');
    expect(connect('198.51.100.7')).toBe('denied');
    // The same command without it ends them.
    expect(await blocked.deny({ address: '198.51.100.7' })).toMatchObject({ ended: 1 });
  });

  test('of one service uses the others', async () => {
    const { blocked, connect } = blocking();
    connect('198.51.100.7', 25);
    expect(await blocked.deny({ address: '198.51.100.0/24', service: WEB })).toMatchObject({
      ...{ service: 'tcp 192.0.2.80:80', ended: 0 },
    });
    expect([connect('198.51.100.7'), connect('198.51.100.7', 25)]).toEqual(['denied', 'forwarded']);
    await expect(blocked.undeny('198.51.100.0/24', undefined)).rejects.toThrow(
      '198.51.100.0/24: not denied by a command: it is denied for tcp 192.0.2.80:80 (name it with --service)',
    );
    await blocked.undeny('198.51.100.0/24', WEB);
    expect(connect('198.51.100.7')).toBe('forwarded');
  });

  test('stays denied by the next director, unless its time is over by then', async () => {
    const first = blocking();
    await first.blocked.deny({ address: '198.51.100.7' });
    await first.blocked.deny({ address: '198.51.100.8', seconds: 10 });
    await first.blocked.deny({ address: '2001:db8:1::/48', service: MAIL, newOnly: true });
    const second = blocking(11);
    expect([second.connect('198.51.100.7'), second.connect('198.51.100.8')]).toEqual(['denied', 'forwarded']);
    expect(second.blocked.commanded).toEqual([
      { prefix: '198.51.100.7' },
      { prefix: '2001:db8:1::/48', service: 'tcp 192.0.2.80:25', newOnly: true },
    ]);
    await second.blocked.undeny('198.51.100.7', undefined);
    expect(blocking(11).connect('198.51.100.7')).toBe('forwarded');
  });

  test('may be written as IPv6, and 0.0.0.0/0 denies IPv4 alone', async () => {
    const { blocked, connect } = blocking();
    await blocked.deny({ address: '::ffff:198.51.100.7' });
    expect(connect('198.51.100.7')).toBe('denied');
    await blocked.deny({ address: '0.0.0.0/0' });
    expect([connect('203.0.113.1'), connect('2001:db8:1::1')]).toEqual(['denied', 'forwarded']);
    await blocked.deny({ address: '::/0' });
    await blocked.undeny('0.0.0.0/0', undefined);
    expect([connect('203.0.113.1'), connect('2001:db8:1::1')]).toEqual(['forwarded', 'denied']);
  });
});

describe('lists of the configuration', () => {
  test('allow wins over deny, whatever is longer, and whichever list is of the service', async () => {
    const { blocked, connect, explain } = blocking();
    await blocked.setFile([
      entry('deny', '198.51.100.0/24', { file: '/etc/lvs/deny' }),
      entry('deny', '198.51.100.7'),
      entry('allow', '198.51.100.0/28', { service: WEB }),
      entry('allow', '203.0.113.1'),
      entry('deny', '0.0.0.0/0', { service: MAIL }),
    ]);
    expect(blocked.counts).toEqual({ deny: 3, allow: 2, commanded: 0 });
    expect([connect('198.51.100.7'), connect('198.51.100.7', 25)]).toEqual(['forwarded', 'denied']);
    expect([connect('198.51.100.77'), connect('203.0.113.1', 25)]).toEqual(['denied', 'forwarded']);
    expect([connect('203.0.113.2'), connect('203.0.113.2', 25)]).toEqual(['forwarded', 'denied']);
    expect(explain('198.51.100.7')).toEqual({
      ...{ step: 'access', list: 'allow', prefix: '198.51.100.0/28', service: WEB },
      source: 'the configuration file',
    });
    expect(explain('198.51.100.77')).toEqual({
      ...{ step: 'access', list: 'deny', prefix: '198.51.100.0/24', source: '/etc/lvs/deny' },
    });
    expect(explain('203.0.113.2')).toBeUndefined();
    // A command reports that it has no effect.
    expect(await blocked.deny({ address: '203.0.113.1', seconds: 60 })).toMatchObject({
      allowedBy: '203.0.113.1',
    });
    await blocked.deny({ address: '203.0.113.9', seconds: 60 });
    expect(explain('203.0.113.9')).toMatchObject({ source: 'a command', left: 60 });
  });

  test('a reload ends what it denies, and leaves what commands deny', async () => {
    const { blocked, connect } = blocking();
    await blocked.setFile([entry('deny', '198.51.100.7')]);
    await blocked.deny({ address: '198.51.100.7' });
    await blocked.deny({ address: '198.51.100.8' });
    connect('198.51.100.9');
    await blocked.setFile([entry('deny', '198.51.100.9')]);
    expect(await blocked.endConnections()).toBe(1);
    expect(['7', '8', '9'].map((last) => connect(`198.51.100.${last}`))).toEqual(Array(3).fill('denied'));
    await blocked.undeny('198.51.100.7', undefined);
    expect(connect('198.51.100.7')).toBe('forwarded');
    await expect(blocked.undeny('198.51.100.9', undefined)).rejects.toThrow(
      'not denied by a command: it is in the configuration file (remove it there, and reload)',
    );
    await blocked.setFile([]);
    expect(connect('198.51.100.9')).toBe('forwarded');
    expect(connect('198.51.100.8')).toBe('denied');
  });
});

test('wrong requests are errors, and change nothing', async () => {
  const { blocked, connect } = blocking();
  for (const [address, problem] of [
    ['198.51.100.7/24', 'bits are set behind the prefix: expected 198.51.100.0/24, or 198.51.100.7 alone'],
    ['198.51.100.7-9', 'expected an address'],
    ['example.net', 'expected an address'],
  ] as const)
    await expect(blocked.deny({ address })).rejects.toThrow(`${address}: invalid prefix: ${problem}`);
  await expect(blocked.deny({ address: '198.51.100.7', service: { ...WEB, port: 81 } })).rejects.toThrow(
    'tcp 192.0.2.80:81: no such service',
  );
  await expect(blocked.undeny('198.51.100.7', undefined)).rejects.toThrow(
    '198.51.100.7: not denied by a command',
  );
  rmSync(folder, { recursive: true });
  await expect(blocked.deny({ address: '198.51.100.7' })).rejects.toThrow('not written, nothing is changed');
  expect(connect('198.51.100.7')).toBe('forwarded');
  expect(blocked.counts.commanded).toBe(0);
});

test('a hundred thousand entries are set, replaced and looked up in slices of less than 50 ms', async () => {
  const { blocked, connect } = blocking();
  const entries = function* (from: number) {
    for (let i = from; i < from + 100_000; i++)
      yield entry(
        'deny',
        i % 2 === 0
          ? `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`
          : `2001:db8:${i.toString(16)}::/64`,
      );
  };
  let turns = 0;
  let isOver = false;
  const count = () => {
    turns++;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  await blocked.setFile(entries(65_536));
  await blocked.setFile(entries(65_538));
  isOver = true;
  expect(turns).toBeGreaterThan(20);
  expect(blocked.counts.deny).toBe(100_000);
  expect([connect('10.1.0.0'), connect('10.1.0.2')]).toEqual(['forwarded', 'denied']);
});

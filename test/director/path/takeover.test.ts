/** Directors that take over connections of each other under mh, while the list of servers changes. */
import { describe, expect, test } from 'vitest';
import { packetOfLine } from '../../../src/wire/packet-line.ts';
import { Directed } from '../../support/directed.ts';

const WEB = 'tcp 192.0.2.80:80';
const CLIENTS = Array.from({ length: 300 }, (_, i) => `203.0.113.${1 + (i % 200)}:${2000 + i}`);
const MH_PORT = 2;
const MH_FALLBACK = 1;

const at = (n: number) => `10.0.0.${n}:80`;

/** A director whose VIP is no address of its host, as behind a router. */
function directed(
  flags = MH_PORT,
  takeover: Parameters<Directed['director']['takeOver']>[0] = { history: 300, share: 75 },
) {
  const it = new Directed({ maxConnections: 1024 });
  it.own.delete('192.0.2.80');
  it.set('sloppy_tcp', 1);
  it.director.takeOver(takeover);
  it.serve(WEB, [at(1), at(2), at(3)], { scheduler: 'mh', schedulerFlags: flags, method: 'dr' });
  it.wait(10);
  return it;
}

const opened = (it: Directed) => CLIENTS.map((client) => it.way(`${client} > 192.0.2.80:80 SYN`));
const continued = (it: Directed) => CLIENTS.map((client) => it.way(`${client} > 192.0.2.80:80 ACK`));

describe('a packet of an unknown connection goes to the server of the list by which the connection was scheduled', () => {
  const CHANGES: Readonly<Record<string, (it: Directed) => void>> = {
    'nothing changed': () => {},
    'a server was added': (it) => it.add(WEB, at(4), { method: 'dr' }),
    'a server was quiesced': (it) => it.edit(WEB, at(2), { method: 'dr', weight: 0 }),
    'a weight was changed': (it) => it.edit(WEB, at(2), { method: 'dr', weight: 5 }),
    'one was added, and another one quiesced later': (it) => {
      it.add(WEB, at(4), { method: 'dr' });
      it.wait(2);
      it.edit(WEB, at(1), { method: 'dr', weight: 0 });
    },
    'one was added with a slow start of 20 steps': (it) => {
      it.add(WEB, at(4), { method: 'dr', weight: 1 });
      for (let weight = 2; weight <= 20; weight++) {
        it.wait(1);
        it.edit(WEB, at(4), { method: 'dr', weight });
      }
    },
  };
  describe.each(Object.entries(CHANGES))('%s', (_, change) => {
    test.each([
      ['without a fallback', MH_PORT],
      ['with a fallback', MH_PORT | MH_FALLBACK],
    ])('%s', (_, flags) => {
      const [gone, other] = [directed(flags), directed(flags)];
      const servers = opened(gone);
      change(other);
      expect(continued(other)).toEqual(servers);
      // Once more: they are known now.
      other.wait(5);
      expect(continued(other)).toEqual(servers);
    });
  });

  test('a removed server gets nothing, and its clients another one', () => {
    const [gone, other] = [directed(), directed()];
    const servers = opened(gone);
    other.remove(WEB, at(3));
    const now = continued(other);
    expect(now).not.toContain('10.0.0.3');
    expect(now.filter((_, i) => servers[i] !== '10.0.0.3')).toEqual(
      servers.filter((server) => server !== '10.0.0.3'),
    );
  });
});

test('new connections follow the present list, and unknown ones, too, when the time is over', () => {
  const other = directed();
  other.add(WEB, at(4), { method: 'dr' });
  other.wait(2);
  const servers = opened(other);
  expect(servers).toContain('10.0.0.4');
  const late = directed();
  late.add(WEB, at(4), { method: 'dr' });
  late.wait(299);
  expect(continued(late)).not.toContain('10.0.0.4');
  const later = directed();
  later.add(WEB, at(4), { method: 'dr' });
  later.wait(2);
  later.wait(300);
  expect(continued(later)).toEqual(servers);
});

test('without takeover, the present list decides, as in Linux', () => {
  const [gone, other] = [directed(), directed(MH_PORT, { history: 0, share: 0 })];
  const servers = opened(gone);
  other.edit(WEB, at(2), { method: 'dr', weight: 0 });
  other.wait(2);
  const now = continued(other);
  expect(now.filter((_, i) => servers[i] === '10.0.0.2')).not.toContain('10.0.0.2');
});

describe('a flood of packets of unknown connections', () => {
  const flood = (it: Directed, from: number, count: number) => {
    const verdicts: Record<string, number> = {};
    for (let i = from; i < from + count; i++) {
      const verdict = it.receive(`198.51.${100 + (i >> 8)}.${i & 255}:9 > 192.0.2.80:80 ACK`);
      verdicts[verdict] = (verdicts[verdict] ?? 0) + 1;
    }
    return verdicts;
  };

  test('fills its part of the table alone, and ends soon', () => {
    const it = directed();
    expect(flood(it, 0, 2000)).toEqual({ forwarded: 768, 'takeover-limit': 1232 });
    expect(it.receive('203.0.113.7:4000 > 192.0.2.80:80 SYN')).toBe('forwarded');
    // A connection that goes on has its usual timeout.
    expect(it.receive('198.51.100.5:9 > 192.0.2.80:80 ACK')).toBe('forwarded');
    it.wait(31);
    expect(it.connections.map((line) => line.split(' ')[2])).toEqual(['198.51.100.5:9', '203.0.113.7:4000']);
    expect(flood(it, 2000, 1)).toEqual({ forwarded: 1 });
    expect(it.director.snapshot(it.now).counts.takenOver).toBe(769);
  });

  test('resets are not answered, and begin nothing', () => {
    const it = directed();
    expect(it.receive('203.0.113.7:4000 > 192.0.2.80:80 RST')).toBe('pass');
    expect(it.connections).toEqual([]);
  });
});

test('explain reports the server of the earlier list', () => {
  const [gone, other] = [directed(), directed()];
  const servers = opened(gone);
  other.edit(WEB, at(2), { method: 'dr', weight: 0 });
  other.wait(2);
  const i = servers.indexOf('10.0.0.2');
  const packet = `${CLIENTS[i]} > 192.0.2.80:80 ACK`;
  const { steps, verdict } = other.director.explain(packetOfLine(packet), other.now);
  expect(verdict).toBe('forwarded');
  expect(steps).toContainEqual(
    expect.objectContaining({
      step: 'scheduler',
      isTakenOver: true,
      chosen: { address: '10.0.0.2', port: 80 },
    }),
  );
  expect(other.connections).toEqual([]);
});

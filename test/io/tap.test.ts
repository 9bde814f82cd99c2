/** The tap device, in a network namespace of this test's own user: needs root. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Tap } from '../../src/io/tap.ts';
import { loadSystem, type System } from '../../src/sys/system.ts';
import { parseAddress } from '../../src/wire/address.ts';
import { packetOfLine } from '../../src/wire/packet-line.ts';
import { ethernetOf, framed } from '../support/packets.ts';

const NAME = `lvst${process.pid % 100_000}`;
const MTU = 1500;
const QUEUE = 8;
const HERE = Uint8Array.of(2, 0, 0, 0, 0, 1);
const THERE = Uint8Array.of(2, 0, 0, 0, 0, 2);
const never = new AbortController().signal;

async function open(): Promise<Tap | string> {
  try {
    return new Tap(await loadSystem(), { name: NAME, mtu: MTU, queue: QUEUE, tick: 20 });
  } catch (error) {
    return (error as Error).message;
  }
}
const tap = await open();
const why = typeof tap === 'string' ? tap : undefined;
const it = tap as Tap;
const ip = (...words: string[]) => spawnSync('ip', words, { encoding: 'utf8' });

test('a tap device can be created on this host', ({ skip }) => skip(why !== undefined, why));

describe.skipIf(why !== undefined)('a tap', () => {
  beforeAll(() => {
    // Something to send to: what is routed to the tap comes out of it.
    ip('address', 'add', '198.51.100.1/24', 'dev', NAME);
    ip('neigh', 'add', '198.51.100.9', 'lladdr', '02:00:00:00:00:09', 'dev', NAME);
  });
  afterAll(() => it[Symbol.dispose]());

  test('is up for as long as requested, and has IPv6 disabled', () => {
    const { stdout } = ip('-d', 'link', 'show', NAME);
    expect(stdout).toMatch(new RegExp(`<.*UP.*> mtu ${MTU} .*qlen ${QUEUE}`));
    expect(readFileSync(`/proc/sys/net/ipv6/conf/${NAME}/disable_ipv6`, 'latin1').trim()).toBe('1');
  });

  test('delivers frames that are sent to it, and counts frames without room', async () => {
    const dropped = it.drops;
    for (let i = 0; i < QUEUE + 4; i++) spawnSync('bash', ['-c', 'echo -n 1234 > /dev/udp/198.51.100.9/9']);
    expect(await it.ready(never)).toBe(true);
    const frames: Uint8Array[] = [];
    const take = (budget: number) => it.receive((frame) => frames.push(frame.copy()), budget);
    expect(take(3)).toBe(3);
    expect(await it.ready(never)).toBe(true);
    expect(take(100)).toBe(QUEUE - 3);
    for (const frame of frames) {
      expect(frame.subarray(0, 6)).toEqual(Uint8Array.of(2, 0, 0, 0, 0, 9));
      expect(Buffer.from(frame.subarray(42)).toString()).toBe('1234');
    }
    expect(it.drops - dropped).toBe(4);
    expect(take(100)).toBe(0);
  });

  test('is ready at every tick, and never after it was closed', async () => {
    const end = new AbortController();
    expect(await it.ready(end.signal)).toBe(true);
    const waiting = it.ready(end.signal);
    end.abort();
    expect(await waiting).toBe(false);
  });

  test('delivers a written frame at its interface', () => {
    const before = received();
    const packet = packetOfLine('203.0.113.7:4000 > 198.51.100.77:80 SYN');
    expect(it.transmit(framed(ethernetOf(packet, HERE, THERE)), parseAddress('198.51.100.77')!)).toBe(true);
    expect(received() - before).toBe(1);
  });

  const received = () => Number(readFileSync(`/sys/class/net/${NAME}/statistics/rx_packets`, 'latin1'));
});

test.skipIf(why !== undefined)('a tap device of another process is refused', async () => {
  const system: System = await loadSystem();
  using first = new Tap(system, { name: `${NAME}x`, mtu: MTU, queue: QUEUE });
  expect(() => new Tap(system, { name: first.device.name, mtu: MTU, queue: QUEUE })).toThrowError(/EBUSY/);
});

/** Control connections of FTP between models of both ends, over a network that loses, repeats and reorders packets. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ConnectionTable } from '../../../src/director/connections.ts';
import { NextHops } from '../../../src/offload/next-hops.ts';
import { adoptKernelTable } from '../../../src/runtime/restart/adopted-table.ts';
import { ProcessorCounters } from '../../../src/table/counters.ts';
import { Ticks } from '../../../src/table/ticks.ts';
import type { Address } from '../../../src/wire/address.ts';
import type { Frame } from '../../../src/wire/frame.ts';
import { Directed, seeded } from '../../support/directed.ts';
import { CLOCK, COUNTED, LeftMemory, PROCESSORS } from '../../support/left-memory.ts';
import { TcpEnd, type TcpSegment } from '../../support/tcp-end.ts';
import { arrivedIn, numbersOf, packetOf } from '../../support/tcp-segments.ts';

const CLIENT = '203.0.113.7:4000';
/** Lines that the client sends; each is answered. */
const COMMANDS = 120;
const MAX_STEPS = 60_000;
/** Steps between two restarts of the director. */
const RESTART_STEPS = 701;

/** A director that keeps the bytes of what it sends. */
class Router extends Directed {
  readonly octets: Uint8Array[] = [];

  override transmit(frame: Frame, nextHop: Address): boolean {
    this.octets.push(frame.copy());
    return super.transmit(frame, nextHop);
  }
}

function newRouter(memory: LeftMemory, vip: string, server: string): Router {
  const ticks = new Ticks(CLOCK.tickMs);
  const table = new ConnectionTable({ limit: 500, seed: 7, memory, ticks });
  new ProcessorCounters(memory, PROCESSORS, COUNTED);
  new NextHops(memory);
  const router = new Router({ memory, table, ticks });
  router.own.add(vip);
  router.serve(`tcp ${vip}:21`, [`${server}:21`]);
  memory.complete();
  return router;
}

/** The next director, which takes over the memory of one that was killed. */
async function restarted(memory: LeftMemory, vip: string): Promise<Router> {
  const { table, ticks } = await adoptKernelTable(memory, CLOCK, PROCESSORS);
  const router = new Router({ memory, table, ticks, isAdopted: true });
  router.own.add(vip);
  return router;
}

interface Way {
  readonly ends: string;
  readonly from: TcpEnd;
  readonly to: TcpEnd;
  /** Packets before the director, and after it. */
  readonly before: Uint8Array[];
  readonly after: { octets: Uint8Array; isStrict: boolean }[];
}

interface Site {
  readonly vip: string;
  readonly server: string;
  /** No data is sent while some is not acknowledged (RFC 896), and nothing is lost. */
  readonly isNagle: boolean;
  readonly restarts: boolean;
}

async function talk(
  seed: number,
  { vip, server, isNagle, restarts }: Site,
): Promise<[client: TcpEnd, server: TcpEnd]> {
  const random = seeded(seed);
  const below = (bound: number): number => Math.floor(random() * bound);
  const memory = new LeftMemory();
  let router = newRouter(memory, vip, server);
  // Some connections wrap their sequence numbers.
  const initial = [below(2 ** 32), 2 ** 32 - below(3000)] as const;
  const first = [initial[seed & 1]!, initial[1]] as const;
  router.receive(`${CLIENT} > ${vip}:21 SYN seq=${(first[0] + 2 ** 32 - 1) % 2 ** 32}`);
  router.receive(
    `${server}:21 > ${CLIENT} SYN+ACK seq=${(first[1] + 2 ** 32 - 1) % 2 ** 32} ack=${first[0]}`,
  );
  const client = new TcpEnd(first[0], first[1]);
  const ftp = new TcpEnd(first[1], first[0]);
  const ways: Way[] = [
    { ends: `${CLIENT} > ${vip}:21`, from: client, to: ftp, before: [], after: [] },
    { ends: `${server}:21 > ${CLIENT}`, from: ftp, to: client, before: [], after: [] },
  ];
  let asked = 0;
  let answered = 0;
  let expectedReplies = '220 ready\r\n';
  ftp.write('220 ready\r\n');
  const act = (): void => {
    if (asked < COMMANDS && below(3) === 0) {
      const commands = 1 + below(3);
      for (let i = 0; i < commands && asked < COMMANDS; i++, asked++)
        client.write(asked % 7 === 3 ? `PORT ${numbersOf('203.0.113.7', 20_000 + asked)}\r\n` : 'PASV\r\n');
    }
    const lines = ftp.read.split('\r\n');
    for (; answered < lines.length - 1; answered++) {
      const [begin, end] = answered % 2 === 0 ? ['227 Entering Passive Mode (', ').\r\n'] : ['227 =', '\r\n'];
      const port = 30_000 + answered;
      const isPassive = lines[answered] === 'PASV';
      ftp.write(isPassive ? `${begin}${numbersOf(server, port)}${end}` : '200 PORT command\r\n');
      expectedReplies += isPassive ? `${begin}${numbersOf(vip, port)}${end}` : '200 PORT command\r\n';
    }
    if (asked === COMMANDS && client.acknowledged === client.written.length) client.isClosed = true;
    if (ftp.isPeerClosed) ftp.isClosed = true;
  };
  const send = ({ ends, from, before }: Way): void => {
    const isIdle = from.acknowledged === from.sent;
    if (from.sent < from.length && (isIdle || !isNagle))
      before.push(packetOf(ends, from.segment(from.sent, 1 + below(!isNagle && below(4) === 0 ? 400 : 40))));
    else if (!isIdle && !isNagle && below(4) === 0)
      before.push(
        packetOf(ends, from.segment(from.acknowledged + below(from.sent - from.acknowledged), 1 + below(60))),
      );
    else if (!isIdle && !isNagle && below(2) === 0)
      before.push(packetOf(ends, from.segment(from.acknowledged, 1 + below(60))));
  };
  /** Takes a packet out; it may be lost, repeated or overtaken. */
  const take = <T>(packets: T[]): T | undefined => {
    const [one] = packets.splice(isNagle ? 0 : below(Math.min(packets.length, 5)), 1);
    if (isNagle) return one;
    if (below(12) === 0) return undefined;
    if (one !== undefined && below(12) === 0) packets.push(one);
    return one;
  };
  const pass = ({ from, before, after }: Way): void => {
    const octets = take(before);
    if (octets === undefined) return;
    router.octets.length = 0;
    const { segment } = arrivedIn(octets);
    const isStrict = ((segment.sequence - from.segment(from.acknowledged, 0).sequence) | 0) >= 0;
    const verdict = router.receiveOctets(octets);
    expect(['forwarded', 'ftp-order']).toContain(verdict);
    for (const each of router.octets) after.push({ octets: each, isStrict });
  };
  const arrive = ({ from, to, after }: Way): void => {
    const packet = take(after);
    if (packet === undefined) return;
    const back = ways.find((way) => way.from === to)!;
    if (to.take(arrivedIn(packet.octets).segment, packet.isStrict)) {
      const answer: TcpSegment = to.acknowledgement();
      back.before.push(packetOf(back.ends, answer));
    }
    expect(from.acknowledged).toBeLessThanOrEqual(from.length);
  };
  for (let step = 0; step < MAX_STEPS && !(client.isDone && ftp.isDone); step++) {
    act();
    const way = ways[below(2)]!;
    [send, pass, pass, arrive, arrive][below(5)]!(way);
    if (restarts && step % RESTART_STEPS === 0) router = await restarted(memory, vip);
  }
  expect({ client: client.isDone, server: ftp.isDone }).toEqual({ client: true, server: true });
  expect(client.read).toBe(expectedReplies);
  expect(ftp.read).toBe(client.written.toString('latin1'));
  expect(asked).toBe(COMMANDS);
  return [client, ftp];
}

const sites: [string, Omit<Site, 'restarts'>][] = [
  ['grow', { vip: '192.0.2.180', server: '10.0.0.1', isNagle: false }],
  ['shrink', { vip: '1.2.3.4', server: '192.168.100.200', isNagle: false }],
  ['grow, one segment at a time', { vip: '192.0.2.180', server: '10.0.0.1', isNagle: true }],
  ['shrink, one segment at a time', { vip: '1.2.3.4', server: '192.168.100.200', isNagle: true }],
];

test.each(sites)('both ends of a connection whose replies %s have the same streams', async (_name, site) => {
  await fc.assert(
    fc.asyncProperty(fc.nat(2 ** 31), async (seed) => {
      await talk(seed, { ...site, restarts: false });
    }),
    { numRuns: 4 },
  );
});

test.each(sites)(
  'they have the same streams when directors are killed, and replies %s',
  async (_name, site) => {
    await fc.assert(
      fc.asyncProperty(fc.nat(2 ** 31), async (seed) => {
        await talk(seed, { ...site, restarts: true });
      }),
      { numRuns: 1 },
    );
  },
);

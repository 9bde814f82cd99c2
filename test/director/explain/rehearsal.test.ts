import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Explanation } from '../../../src/model/explanation.ts';
import type { SettingName } from '../../../src/model/settings.ts';
import { schedulers } from '../../../src/schedulers/index.ts';
import { packetOfLine } from '../../../src/wire/packet-line.ts';
import { Directed, endpoint, seeded, serviceName, VIP } from '../../support/directed.ts';

const WEB = `tcp ${VIP}:80`;
const NAMES = [
  WEB,
  `tcp ${VIP}:0`,
  `udp ${VIP}:53`,
  `tcp ${VIP}:21`,
  `sctp ${VIP}:80`,
  'mark 7',
  `udp ${VIP}:5060`,
];
const SERVERS = ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80', '10.0.0.4:8080'];
const CLIENTS = ['203.0.113.1:4000', '203.0.113.2:4001', '203.0.113.1:20', '203.0.113.66:4002'];
const VIRTUAL = [
  `${VIP}:80`,
  `${VIP}:53`,
  `${VIP}:21`,
  `${VIP}:2000`,
  `${VIP}:5060`,
  '192.0.2.81:80',
  '192.0.2.81:81',
];

const packets = fc.oneof(
  fc
    .record({
      from: fc.constantFrom(...CLIENTS),
      to: fc.constantFrom(...VIRTUAL),
      what: fc.constantFrom(
        'TCP SYN',
        'TCP SYN',
        'TCP ACK',
        'TCP FIN+ACK',
        'TCP RST',
        'UDP len=9',
        'SCTP INIT',
      ),
      rest: fc.constantFrom('', '', ' ttl=1', ' len=2000 DF'),
    })
    .map(
      ({ from, to, what, rest }) =>
        `${from} > ${to} ${what}${rest.startsWith(' len') && !what.startsWith('TCP') ? '' : rest}`,
    ),
  fc
    .record({
      from: fc.constantFrom(...SERVERS),
      to: fc.constantFrom(...CLIENTS),
      what: fc.constantFrom('TCP SYN+ACK', 'TCP ACK', 'TCP FIN+ACK', 'TCP RST', 'UDP len=3'),
    })
    .map(({ from, to, what }) => `${from} > ${to} ${what}`),
  fc
    .record({ id: fc.constantFrom('a', 'b'), from: fc.constantFrom(...CLIENTS) })
    .map(
      ({ id, from }) =>
        `${from} > ${VIP}:5060 UDP data="INVITE sip:x SIP/2.0\\r\\nCall-ID: ${id}\\r\\n\\r\\n"`,
    ),
  fc
    .record({ server: fc.constantFrom(...SERVERS), client: fc.constantFrom(...CLIENTS) })
    .map(
      ({ server, client }) =>
        `10.0.0.9 > ${client.split(':')[0]} ICMP host-unreachable [${client} > ${server} TCP SYN]`,
    ),
);

/** Of two datagrams of each client, in any order: some fit, some overlap, some never come. */
const fragments = fc
  .record({
    from: fc.constantFrom(...CLIENTS.slice(0, 2)),
    id: fc.constantFrom(1, 2),
    rest: fc.constantFrom('', '', '', '+'),
    at: fc.constantFrom(0, 0, 40, 40, 32),
  })
  .map(({ from, id, rest, at }) =>
    at === 0
      ? `${from} > ${VIP}:53 UDP len=32 frag=0+ ipid=${id}`
      : `${from.split(':')[0]} > ${VIP} proto=17 len=24 frag=${at}${rest} ipid=${id}`,
  );

const settings: SettingName[] = [
  'expire_nodest_conn',
  'conn_reuse_mode',
  'sloppy_tcp',
  'schedule_icmp',
  'nat_icmp_send',
  'expire_quiescent_template',
  'cache_bypass',
];
const method = fc.constantFrom('nat', 'dr', 'tunnel');

/** A connection is made and ended from either side, so that the next packet of its ends comes when it is over. */
const lives = fc
  .record({
    from: fc.constantFrom(...CLIENTS.slice(0, 2)),
    server: fc.constantFrom(...SERVERS.slice(0, 3)),
    end: fc.constantFrom('RST', 'FIN+ACK'),
  })
  .map(({ from, server, end }) => [
    `${from} > ${VIP}:80 TCP SYN`,
    `${server} > ${from} TCP SYN+ACK`,
    `${from} > ${VIP}:80 TCP FIN+ACK`,
    `${server} > ${from} TCP ${end}`,
    `${from} > ${VIP}:80 TCP SYN`,
  ]);

/** Something that is done to a director, in words that can be done to two. */
type Act = (director: Directed) => void;
const told = (what: string, act: Act) => Object.assign(act, { toString: () => what });
/** Commands that are refused change nothing, in either. */
const tried =
  (act: Act): Act =>
  (director) => {
    try {
      act(director);
    } catch {}
  };

const acts: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .record({
        name: fc.constantFrom(...NAMES),
        scheduler: fc.constantFrom(...Object.keys(schedulers)),
        persistent: fc.constantFrom(0, 0, 60),
        flags: fc.integer({ min: 0, max: 3 }),
        ops: fc.boolean(),
      })
      .map(({ name, scheduler, persistent, flags, ops }) =>
        told(
          `serve ${name} ${scheduler} ${persistent}`,
          tried((it) => {
            const portless = name.endsWith(':0');
            const options = {
              scheduler,
              ...(persistent > 0 || portless ? { persistent: persistent || 60 } : {}),
              ...(name.endsWith(':5060') && persistent > 0 ? { engine: 'sip' } : {}),
              ...(flags && (scheduler === 'sh' || scheduler === 'mh') ? { schedulerFlags: flags } : {}),
              ...(ops && name.startsWith('udp') ? { ops } : {}),
            };
            it.director.apply({ op: 'add-service', service: serviceName(name), options }, it.now);
          }),
        ),
      ),
  },
  {
    weight: 6,
    arbitrary: fc
      .record({
        op: fc.constantFrom('add-destination', 'add-destination', 'edit-destination'),
        name: fc.constantFrom(...NAMES),
        at: fc.constantFrom(...SERVERS),
        method,
        weight: fc.integer({ min: 0, max: 4 }),
        upperThreshold: fc.constantFrom(0, 0, 2),
      })
      .map(({ op, name, at, ...options }) =>
        told(
          `${op} ${name} ${at} ${JSON.stringify(options)}`,
          tried((it) => {
            const command = { service: serviceName(name), destination: endpoint(at), options };
            it.director.apply(
              {
                op: op as 'add-destination',
                ...(command as { options: { method: 'nat' } } & typeof command),
              },
              it.now,
            );
          }),
        ),
      ),
  },
  {
    weight: 1,
    arbitrary: fc
      .record({ name: fc.constantFrom(...NAMES), at: fc.constantFrom(...SERVERS) })
      .map(({ name, at }) =>
        told(
          `remove ${name} ${at}`,
          tried((it) => it.remove(name, at)),
        ),
      ),
  },
  {
    weight: 1,
    arbitrary: fc
      .record({ name: fc.constantFrom(...settings), value: fc.integer({ min: 0, max: 3 }) })
      .map(({ name, value }) =>
        told(
          `set ${name} ${value}`,
          tried((it) => it.set(name, value)),
        ),
      ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      told('mark', (it) =>
        it.director.apply({ op: 'set-marks', rules: [{ mark: 7, to: '192.0.2.81' }] }, it.now),
      ),
      told('drop_packet', (it) => it.set('drop_packet', 3)),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.integer({ min: 1, max: 130 }).map((s) => told(`wait ${s}`, (it) => it.wait(s))),
  },
);

const sentOf = ({ steps }: Explanation) =>
  steps.flatMap((step) => (step.step === 'sent' ? [`${step.packet} via ${step.nextHop}`] : []));
/** Returns the visible state except the longest probe, which reading it may change. */
function everything(it: Directed) {
  const { table, ...snapshot } = it.director.snapshot(it.now);
  const connections = [...it.director.connections(it.now)];
  return { ...snapshot, table: { ...table, longestProbe: 0 }, connections };
}

describe('an explanation', () => {
  test('matches what then happens, and the request changes nothing', () => {
    fc.assert(
      fc.property(
        fc
          .array(
            fc.oneof(
              { arbitrary: acts.map((act) => [act]), weight: 4 },
              { arbitrary: packets.map((line) => [line]), weight: 6 },
              { arbitrary: lives, weight: 1 },
              { arbitrary: fragments.map((line) => [line]), weight: 2 },
            ),
            { minLength: 10, maxLength: 50 },
          )
          .map((lists: (Act | string)[][]) => lists.flat()),
        fc.constantFrom(2, 3, 5, 40),
        fc.constantFrom(0, 0, 60),
        (steps, maxConnections, persistent) => {
          const make = () => new Directed({ maxConnections, random: seeded(3) });
          const [asked, unasked] = [make(), make()];
          for (const it of [asked, unasked])
            for (const name of [WEB, `udp ${VIP}:53`])
              it.serve(name, SERVERS.slice(0, 3), { scheduler: 'wlc', persistent });
          for (const step of steps) {
            if (typeof step !== 'string') {
              step(asked);
              step(unasked);
              continue;
            }
            // A question lets time pass, as handing over a packet need not.
            for (const it of [asked, unasked]) it.wait(0);
            const explained = asked.director.explain(packetOfLine(step), asked.now);
            expect(everything(asked)).toEqual(everything(unasked));
            const before = asked.connections.length;
            expect({ verdict: explained.verdict, sent: sentOf(explained) }).toEqual({
              verdict: asked.receive(step),
              sent: asked.sent,
            });
            unasked.receive(step);
            expect(unasked.sent).toEqual(asked.sent);
            if (asked.connections.length > before)
              expect(explained.steps.some(({ step }) => step === 'made')).toBe(true);
          }
          expect(everything(asked)).toEqual(everything(unasked));
        },
      ),
      { numRuns: 150 },
    );
  });

  test.each(Object.keys(schedulers))('stays the same when requested many times: %s', (scheduler) => {
    const it = new Directed().serve(WEB, SERVERS.slice(0, 3), { scheduler });
    for (let i = 0; i < 20; i++) {
      const line = `203.0.113.${i}:4000 > ${VIP}:80 TCP SYN`;
      const answers = [1, 2, 3].map(() => it.director.explain(packetOfLine(line), it.now));
      expect(answers[1]).toEqual(answers[0]);
      expect(answers[2]).toEqual(answers[0]);
      it.receive(line);
      expect(sentOf(answers[0]!)).toEqual(it.sent);
    }
  });

  const explain = (it: Directed, line: string) => it.director.explain(packetOfLine(line), it.now);
  const stepOf = <S extends Explanation['steps'][number]['step']>({ steps }: Explanation, name: S) =>
    steps.find((step): step is Extract<Explanation['steps'][number], { step: S }> => step.step === name);

  test('names the candidates, and why each was selected or not', () => {
    const it = new Directed().serve(WEB, ['10.0.0.1:80'], { scheduler: 'wlc', upperThreshold: 1 });
    it.add(WEB, '10.0.0.2:80', { weight: 0 });
    it.add(WEB, '10.0.0.3:80', { weight: 2 });
    it.edit(WEB, '10.0.0.3:80', { weight: 0 });
    it.receive(`203.0.113.1:4000 > ${VIP}:80 TCP SYN`);
    it.edit(WEB, '10.0.0.3:80', { weight: 2 });
    const found = stepOf(explain(it, `203.0.113.2:4000 > ${VIP}:80 TCP SYN`), 'scheduler')!;
    expect(found.candidates.map(({ address, why, taken }) => `${address} ${taken} ${why}`)).toEqual([
      '10.0.0.3 true load 0 for weight 2',
      '10.0.0.2 false quiesced: weight 0',
      '10.0.0.1 false overloaded: 1 connections, threshold 1',
    ]);
    expect(found.chosen).toEqual({ address: '10.0.0.3', port: 80 });
  });

  test('names the services that nearly matched', () => {
    const it = new Directed().serve(WEB, SERVERS).serve(`udp ${VIP}:81`, []).serve('tcp 192.0.2.9:81', []);
    it.serve('mark 7', []);
    const near = stepOf(explain(it, `203.0.113.2:4000 > ${VIP}:81 TCP SYN`), 'service')!;
    expect(near.service).toBeUndefined();
    expect(near.near.map(({ why }) => why)).toEqual([
      'different port',
      'different protocol',
      'different address',
      'no mark rule matches the packet',
    ]);
  });

  test('names the service of a packet that starts no connection', () => {
    const it = new Directed().serve(WEB, SERVERS);
    const explained = explain(it, `203.0.113.2:4000 > ${VIP}:80 TCP ACK`);
    expect(explained.verdict).toBe('pass');
    expect(stepOf(explained, 'service')).toMatchObject({ asked: false, service: serviceName(WEB) });
  });

  test('covers a known connection and a template', () => {
    const it = new Directed().serve(WEB, SERVERS, { persistent: 60 });
    it.receive(`203.0.113.1:4000 > ${VIP}:80 TCP SYN`);
    const known = stepOf(explain(it, `203.0.113.1:4000 > ${VIP}:80 TCP ACK`), 'found')!;
    expect(known).toMatchObject({ what: 'connection', connection: { state: 'SYN_RECV' } });
    const other = explain(it, `203.0.113.1:4001 > ${VIP}:80 TCP SYN`);
    expect(stepOf(other, 'found')).toMatchObject({ what: 'template' });
    expect(stepOf(other, 'scheduler')).toBeUndefined();
  });

  test('covers an ended connection: the next one is scheduled again', () => {
    const it = new Directed().serve(WEB, SERVERS.slice(0, 2), { scheduler: 'rr' });
    const line = `203.0.113.1:4000 > ${VIP}:80 TCP SYN`;
    const server = it.way(line);
    it.receive(`${server}:80 > 203.0.113.1:4000 TCP RST`);
    const explained = explain(it, line);
    expect(stepOf(explained, 'found')).toMatchObject({ connection: { state: 'CLOSE' } });
    expect(stepOf(explained, 'scheduler')).toBeDefined();
    expect(sentOf(explained)).not.toContain(server);
    it.receive(line);
    expect(sentOf(explained)).toEqual(it.sent);
  });

  test('covers a full table', () => {
    const it = new Directed({ maxConnections: 2 }).serve(`udp ${VIP}:53`, ['10.0.0.1:53']);
    const query = (port: number) => `203.0.113.1:${port} > ${VIP}:53 UDP`;
    for (const port of [1, 2]) it.receive(query(port));
    expect(explain(it, query(3))).toMatchObject({ verdict: 'table-full' });
    expect(it.receive(query(3))).toBe('table-full');
  });

  test('covers the fragment that completes a datagram, any number of times', () => {
    const it = new Directed().serve(`udp ${VIP}:53`, SERVERS, { scheduler: 'rr' });
    expect(it.receive(`203.0.113.1:4000 > ${VIP}:53 UDP len=32 frag=0+ ipid=1`)).toBe('waiting');
    const last = `203.0.113.1 > ${VIP} proto=17 len=24 frag=40 ipid=1`;
    const answers = [explain(it, last), explain(it, last)];
    expect(answers[0]).toMatchObject({ verdict: 'forwarded' });
    expect(answers[1]).toEqual(answers[0]);
    it.receive(last);
    expect(sentOf(answers[0]!)).toEqual(it.sent);
  });

  test('covers an ICMP error over the rate limit', () => {
    const it = new Directed().serve(WEB, []);
    const line = `203.0.113.1:4000 > ${VIP}:80 TCP SYN`;
    for (let i = 0; i < 10; i++) {
      const answers = [explain(it, line), explain(it, line)];
      expect(answers[1]).toEqual(answers[0]);
      it.receive(line);
      expect(sentOf(answers[0]!)).toEqual(it.sent);
    }
    expect(it.sent).toEqual([]);
  });

  test('covers bytes that are not a packet', () => {
    const it = new Directed().serve(WEB, SERVERS);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (octets) => {
        it.director.explain(octets, it.now);
      }),
    );
    expect(it.director.explain(new Uint8Array(), 0)).toMatchObject({
      verdict: 'malformed',
      error: 'the packet ends before its header does',
    });
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { linesOf } from '../../../src/cli/director/explain.ts';
import { ConnectionTable } from '../../../src/director/connections.ts';
import type { DirectorOptions } from '../../../src/director/director.ts';
import type { Route } from '../../../src/forwarding/method.ts';
import { Ticks } from '../../../src/table/ticks.ts';
import type { Address } from '../../../src/wire/address.ts';
import type { Frame } from '../../../src/wire/frame.ts';
import { packetOfLine } from '../../../src/wire/packet-line.ts';
import { Directed } from '../../support/directed.ts';
import { CLOCK, LeftMemory } from '../../support/left-memory.ts';
import { arrivedIn, packetOf } from '../../support/tcp-segments.ts';

const CLIENT = '203.0.113.7:4000';
const VIP = '192.0.2.80';
const SERVER = '10.0.0.1';

interface SiteOptions extends Partial<DirectorOptions> {
  readonly client?: string;
  readonly vip?: string;
  readonly server?: string;
  readonly port?: number;
}

/** A director in front of an FTP server, and one control connection whose streams begin at 100 and 1000. */
class Site extends Directed {
  octets: Uint8Array[] = [];
  mtu = 1500;
  readonly #client: string;
  readonly #virtual: string;
  readonly #server: string;
  #asked = 100;
  #answered = 1000;
  /** Sequence number after the last byte that the client received. */
  #received = 1000;

  constructor({ client = CLIENT, vip = VIP, server = SERVER, port = 21, ...rest }: SiteOptions = {}) {
    super(rest);
    this.#client = client;
    this.#virtual = vip.includes(':') ? `[${vip}]` : vip;
    this.#server = `${server.includes(':') ? `[${server}]` : server}:${port}`;
    this.own.add(vip);
    this.serve(`tcp ${this.#virtual}:21`, [this.#server]);
    this.receive(`${client} > ${this.#virtual}:21 SYN seq=99`);
    this.receive(`${this.#server} > ${client} SYN+ACK seq=999 ack=100`);
  }

  override transmit(frame: Frame, nextHop: Address): boolean {
    this.octets.push(frame.copy());
    return super.transmit(frame, nextHop);
  }

  override route(to: Address): Route {
    return { ...super.route(to), mtu: this.mtu };
  }

  /** The packet with which the client sends `text`. */
  command(text: string): string {
    return `${this.#client} > ${this.#virtual}:21 ACK+PSH seq=${this.#asked} ack=${this.#received} hex=${hexOf(text)}`;
  }

  /** The packet with which the server sends `text`. */
  answer(text: string): string {
    return `${this.#server} > ${this.#client} ACK+PSH DF seq=${this.#answered} ack=${this.#asked} hex=${hexOf(text)}`;
  }

  /** The client sends `text`. */
  ask(text: string): string {
    const verdict = this.receive(this.command(text));
    if (verdict === 'forwarded') this.#asked += text.length;
    return verdict;
  }

  /** The server sends `text`; returns what the client receives. */
  reply(text: string): string {
    this.octets = [];
    const verdict = this.receive(this.answer(text));
    if (verdict !== 'forwarded') return verdict;
    this.#answered += text.length;
    const segments = this.octets.map((octets) => arrivedIn(octets).segment);
    for (const { sequence, bytes } of segments) {
      expect(sequence).toBe(this.#received);
      this.#received += bytes.length;
    }
    return segments.map(({ bytes }) => Buffer.from(bytes).toString('latin1')).join('');
  }

  get ftp() {
    const { ftpTranslated, ftpAnnounced, ftpRefused } = this.director.snapshot(this.now).counts;
    return [ftpTranslated, ftpAnnounced, ftpRefused];
  }

  /** Data connections. */
  get data(): string[] {
    return this.connections.filter((line) => !line.includes(':21 '));
  }
}

const hexOf = (text: string): string => Buffer.from(text, 'latin1').toString('hex');
const PASSIVE = '227 Entering Passive Mode (10,0,0,1,117,49).\r\n';

describe('a server announces a port', () => {
  test('in the reply 227, whose address becomes the virtual one, and the client reaches that port', () => {
    const site = new Site();
    site.ask('PASV\r\n');
    expect(site.reply(PASSIVE)).toBe('227 Entering Passive Mode (192,0,2,80,117,49).\r\n');
    expect(site.data).toEqual([`TCP LISTEN 203.0.113.7:0 ${VIP}:30001 ${SERVER}:30001`]);
    expect(site.way(`203.0.113.7:5000 > ${VIP}:30001 SYN`)).toBe(SERVER);
    expect(site.way(`${SERVER}:30001 > 203.0.113.7:5000 SYN+ACK`)).toBe('203.0.113.7');
    expect(site.sent[0]).toMatch(`${VIP}:30001 > 203.0.113.7:5000`);
    expect(site.way(`203.0.113.8:5000 > ${VIP}:30001 SYN`)).toBe('pass');
    expect(site.ftp).toEqual([1, 1, 0]);
  });

  test('in the reply 229, which has no address', () => {
    const site = new Site({ client: '[2001:db8::7]:4000', vip: '2001:db8::80', server: 'fd00::1' });
    site.ask('EPSV\r\n');
    const reply = '229 Entering Extended Passive Mode (|||30001|)\r\n';
    expect(site.reply(reply)).toBe(reply);
    expect(site.way('[2001:db8::7]:5000 > [2001:db8::80]:30001 SYN')).toBe('fd00::1');
  });

  test.each([
    ['without parentheses', '227 =10,0,0,1,117,49\r\n', '227 =192,0,2,80,117,49\r\n'],
    ['as the virtual address', '227 (192,0,2,80,117,49)\r\n', '227 (192,0,2,80,117,49)\r\n'],
  ])('%s', (_name, reply, translated) => {
    const site = new Site();
    site.ask('pasv\r\n');
    expect([site.reply(reply), site.data.length]).toEqual([translated, 1]);
  });

  test.each([
    ['without a command', '', PASSIVE],
    ['within a reply of several lines', 'PASV\r\n', `213-Status\r\n${PASSIVE}213 End\r\n`],
    ['after TLS has begun', 'AUTH TLS\r\nPASV\r\n', `234 Proceed\r\n${PASSIVE}`],
  ])('%s, which has no effect', (_name, command, reply) => {
    const site = new Site();
    site.ask(command);
    expect([site.reply(reply), site.data, site.ftp]).toEqual([reply, [], [0, 0, 0]]);
  });

  test.each([
    ['another address', '227 (10,0,0,2,117,49)\r\n', 'it has another address than the control connection'],
    ['a longer address', '227 (10,0,0,11,117,49)\r\n', 'it has another address than the control connection'],
    ['a port below 1024', '227 (10,0,0,1,3,255)\r\n', 'its port is below 1024'],
    ['too few numbers', '227 (10,0,0,1,3)\r\n', 'its address or port cannot be read'],
    ['too large a number', '227 (10,0,0,1,256,1)\r\n', 'its address or port cannot be read'],
    ['too many digits', `227 (10,0,0,1,${'1'.repeat(99)},1)\r\n`, 'its address or port cannot be read'],
    ['the port of another service', '227 (10,0,0,1,31,144)\r\n', 'another service has its port'],
  ])('and %s is refused, and explained', (_name, reply, reason) => {
    const site = new Site();
    site.serve(`tcp ${VIP}:8080`, ['10.0.0.9:80']);
    site.ask('PASV\r\n');
    const text = linesOf(site.director.explain(packetOfLine(site.answer(reply)), site.now)).join('\n');
    expect(text).toContain(`ftp         the announced data connection is refused: ${reason}`);
    site.reply(reply);
    expect([site.data, site.ftp.slice(1)]).toEqual([[], [1, 1]]);
  });
});

describe('a client announces a port', () => {
  test('with PORT, and sees the server there, from port 20 of the virtual address', () => {
    const site = new Site();
    expect(site.ask('PORT 203,0,113,7,78,32\r\n')).toBe('forwarded');
    expect(site.data).toEqual([`TCP LISTEN 203.0.113.7:20000 ${VIP}:20 ${SERVER}:20`]);
    expect(site.way(`${SERVER}:20 > 203.0.113.7:20000 SYN`)).toBe('203.0.113.7');
    expect(site.sent[0]).toMatch(`${VIP}:20 > 203.0.113.7:20000`);
    expect(site.way(`203.0.113.7:20000 > ${VIP}:20 SYN+ACK`)).toBe(SERVER);
    expect(site.way(`${SERVER}:20 > 203.0.113.7:20000 ACK`)).toBe('203.0.113.7');
    expect(site.data).toEqual([`TCP ESTABLISHED 203.0.113.7:20000 ${VIP}:20 ${SERVER}:20`]);
  });

  test('with EPRT, over IPv6', () => {
    const site = new Site({ client: '[2001:db8::7]:4000', vip: '2001:db8::80', server: 'fd00::1' });
    site.ask('EPRT |2|2001:db8::7|20000|\r\n');
    expect(site.data).toEqual(['TCP LISTEN 2001:db8::7:20000 2001:db8::80:20 fd00::1:20']);
  });

  test.each([
    'PORT 203,0,113,8,78,32',
    'PORT 203,0,113,7,0,25',
    'PORT 203,0,113,7',
    'EPRT |1|203.0.113.8|20000|',
    'EPRT |2|203.0.113.7|20000|',
    'EPRT |1|203.0.113.7|65536|',
    'EPRT |1|203.0.113.7|20000',
    'EPRT',
  ])('%s is forwarded, and no connection is expected', (line) => {
    const site = new Site();
    expect([site.ask(`${line}\r\n`), site.data, site.ftp]).toEqual(['forwarded', [], [0, 1, 1]]);
  });

  test('and the server has another port than the service: its data port is not known', () => {
    const site = new Site({ port: 2121 });
    site.ask('PORT 203,0,113,7,78,32\r\n');
    expect(site.ftp).toEqual([0, 1, 1]);
  });
});

test('8 announced connections can wait: a further one replaces the oldest', () => {
  const site = new Site();
  for (let port = 0; port < 20; port++) site.ask(`PORT 203,0,113,7,78,${port}\r\n`);
  expect(site.data.map((line) => /:(\d+) /.exec(line)![1])).toEqual(
    Array.from({ length: 8 }, (_, i) => `${78 * 256 + 12 + i}`),
  );
});

test('a control connection exists as long as its data connections', () => {
  const site = new Site();
  site.ask('PORT 203,0,113,7,78,32\r\n');
  site.receive(`${SERVER}:20 > 203.0.113.7:20000 SYN`);
  site.receive(`203.0.113.7:20000 > ${VIP}:20 SYN+ACK`);
  site.receive(`${SERVER}:20 > 203.0.113.7:20000 ACK`);
  site.receive(`${CLIENT} > ${VIP}:21 RST seq=124`);
  site.wait(100);
  expect(site.connections).toHaveLength(2);
});

test('data connections begin and end in a table that outlives directors', () => {
  const memory = new LeftMemory();
  const ticks = new Ticks(CLOCK.tickMs);
  const table = new ConnectionTable({ limit: 500, seed: 7, memory, ticks });
  const site = new Site({ memory, table, ticks });
  for (let i = 0; i < 40; i++) {
    site.ask('PASV\r\n');
    site.reply(`227 (10,0,0,1,117,${i})\r\n`);
    const [client, server] = [`203.0.113.7:${5000 + i}`, `:${117 * 256 + i}`];
    for (const flags of ['SYN', 'ACK', 'FIN+ACK', 'RST']) {
      expect(site.way(`${client} > ${VIP}${server} ${flags}`)).toBe(SERVER);
      expect(site.way(`${SERVER}${server} > ${client} ${flags}`)).toBe('203.0.113.7');
    }
    site.wait(1);
  }
  site.wait(60);
  expect(site.data).toEqual([]);
});

test('a packet with thousands of announcements makes no more connections than can wait', () => {
  const site = new Site();
  const lines = Array.from({ length: 60 }, (_, port) => `PORT 203,0,113,7,78,${port}\r\n`);
  site.ask(lines.join(''));
  expect([site.data.length, site.ftp]).toEqual([8, [0, 8, 0]]);
});

test('whatever memory another process has left, a director goes on with it', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.nat(300), fc.integer()), { minLength: 61, maxLength: 61 }), (words) => {
      const site = new Site();
      const { controls } = site.director.context;
      // The words that name the row, and the flags of a state that has begun.
      controls.words.set([3, ...words], 64 + 2);
      for (let i = 0; i < 3; i++) {
        site.octets = [];
        site.receive(site.command('PASV\r\n'));
        site.receive(site.answer(PASSIVE));
        for (const octets of site.octets) arrivedIn(octets);
      }
    }),
    { numRuns: 200 },
  );
});

test('a service without the helper forwards control connections unchanged', () => {
  const site = new Site();
  const service = { protocol: 'tcp', address: VIP, port: 21 } as const;
  site.director.apply({ op: 'edit-service', service, options: { scheduler: 'rr', helper: 'none' } }, 0);
  site.ask('PASV\r\n');
  expect([site.reply(PASSIVE), site.data]).toEqual([PASSIVE, []]);
});

test('a reply that no longer fits the path leaves in two packets', () => {
  const site = new Site();
  site.ask('PASV\r\n');
  const filler = `220 ${'x'.repeat(1460 - 6 - PASSIVE.length)}\r\n`;
  const received = site.reply(filler + PASSIVE);
  expect(received).toBe(filler + PASSIVE.replace('10,0,0,1', '192,0,2,80'));
  expect(site.octets.map(({ length }) => length)).toEqual([1500, 42]);
});

test('a packet with a wrong checksum is dropped, as a helper of the kernel does', () => {
  const site = new Site();
  expect(site.receive(`${site.command('PASV\r\n')} bad-checksum`)).toBe('malformed');
  expect(site.receive(`${site.command('PASV\r\n')} partial-checksum`)).toBe('forwarded');
});

test('blocks of selective acknowledgements are translated, and removed where they become empty', () => {
  const site = new Site();
  site.ask('PASV\r\n');
  // The first reply was not received: 46 bytes from 1000 on became 48.
  site.reply(PASSIVE);
  site.reply('200 ok\r\n');
  const acknowledge = (sack: [number, number]) => {
    site.octets = [];
    const segment = {
      sequence: 106,
      acknowledgement: 1000,
      bytes: new Uint8Array(),
      sack: [sack],
      isLast: false,
    };
    site.receiveOctets(packetOf(`${CLIENT} > ${VIP}:21`, segment));
    return arrivedIn(site.octets[0]!).segment.sack;
  };
  expect(acknowledge([1048, 1056])).toEqual([[1046, 1054]]);
  expect(acknowledge([1028, 1032])).toEqual([]);
});

test('hostile streams of both sides neither stop the director nor yield packets with wrong checksums', () => {
  const line = fc.constantFrom(
    ...[
      'PASV\r\n',
      'PASV',
      '227 (10,0,0,1,',
      '227 (10,0,0,1,117,49)\r\n',
      '227-',
      '229 (|||30001|)\r\n',
      '234 ',
    ],
    ...[
      'PORT 203,0,113,7,78,32\r\n',
      'EPRT |1|203.0.113.7|1|\r\n',
      '\r\n',
      '\xff\xf4\xf2ABOR\r\n',
      '10,0,0,1,',
    ],
  );
  const text = fc.oneof(
    line,
    fc.array(line).map((lines) => lines.join('')),
    fc.string({ unit: 'binary-ascii' }),
  );
  const segment = fc.record({
    isClient: fc.boolean(),
    at: fc.oneof(fc.constant(0), fc.integer({ min: -40, max: 40 }), fc.integer()),
    acknowledged: fc.oneof(fc.constant(0), fc.integer({ min: -40, max: 40 }), fc.integer()),
    text,
    isLast: fc.boolean(),
    isUrgent: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(segment, { minLength: 1, maxLength: 40 }), (segments) => {
      const site = new Site();
      let [asked, answered] = [100, 1000];
      for (const { isClient, at, acknowledged, text: data, isLast, isUrgent } of segments) {
        site.octets = [];
        const [own, other] = isClient ? [asked, answered] : [answered, asked];
        const ends = isClient ? `${CLIENT} > ${VIP}:21` : `${SERVER}:21 > ${CLIENT}`;
        const flags = `ACK${isLast ? '+FIN' : ''}${isUrgent ? '+URG' : ''}`;
        const hex = data === '' ? '' : ` hex=${hexOf(data)}`;
        site.receive(`${ends} ${flags} seq=${(own + at) >>> 0} ack=${(other + acknowledged) >>> 0}${hex}`);
        for (const octets of site.octets) arrivedIn(octets);
        if (isClient) asked = (own + at + data.length) >>> 0;
        else answered = (own + at + data.length) >>> 0;
      }
      site.wait(1);
    }),
    { numRuns: 300 },
  );
});

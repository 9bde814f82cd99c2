/** What a backup makes of messages, beyond the recordings of the kernel (test/conformance). */
import { describe, expect, test } from 'vitest';
import { SyncEntry } from '../../src/sync/entry.ts';
import * as v0 from '../../src/sync/message-v0.ts';
import * as v1 from '../../src/sync/message-v1.ts';
import { type Address, parseAddress } from '../../src/wire/address.ts';
import type { Frame } from '../../src/wire/frame.ts';
import { Packet } from '../../src/wire/packet.ts';
import { tcp } from '../../src/wire/tcp.ts';
import { seeded } from '../support/directed.ts';
import { SyncedDirector } from './synced-director.ts';

const WEB = 'tcp 192.0.2.80:80';
const INACTIVE = 0x100;
const NO_CPORT = 0x800;
const TEMPLATE = 0x1000;
const ONE_PACKET = 0x2000;
/** Datagrams of the random test; more of them on demand. */
const DATAGRAMS = Number(process.env['FUZZ_DATAGRAMS'] ?? 20_000);

interface Described {
  readonly client: string;
  readonly cport?: number;
  readonly virtual?: string;
  readonly vport?: number;
  readonly destination?: string;
  readonly dport?: number;
  readonly protocol?: number;
  readonly flags?: number;
  readonly state?: number;
  readonly timeout?: number;
  readonly engine?: string;
  readonly engineData?: string;
}

/** Returns a message with one entry: by default an established TCP connection to 10.0.0.1:80 by NAT. */
function message(described: Described, codec: typeof v0 | typeof v1 = v1): Buffer {
  const { client, virtual = '192.0.2.80', destination = '10.0.0.1' } = described;
  const { cport = 4000, vport = 80, dport = 80, protocol = 6, flags = 0, state = 1, timeout = 0 } = described;
  const { engine, engineData } = described;
  const fields = { cport, vport, dport, protocol, flags, state, timeout, engine, engineData };
  const entry = Object.assign(new SyncEntry(), fields);
  entry.family = client.includes(':') ? 6 : 4;
  entry.caddr.set(parseAddress(client)!);
  entry.vaddr.set(parseAddress(virtual)!);
  entry.daddr.set(parseAddress(destination)!);
  const length = codec.HEADER_BYTES + codec.entryBytes(entry);
  const into = Buffer.alloc(length);
  codec.writeEntry(into, codec.HEADER_BYTES, entry);
  codec.writeHeader(into, 7, length, 1);
  return into;
}

const backup = () => new SyncedDirector().serve(WEB, ['10.0.0.1:80']).start('backup') as SyncedDirector;

function receive(directed: SyncedDirector, described: Described, codec?: typeof v0 | typeof v1): void {
  directed.sync.receive(message(described, codec), directed.now);
}

describe('a backup', () => {
  test('forwards packets of a connection whose destination is not configured, and counts none', () => {
    const directed = backup();
    receive(directed, { client: '203.0.113.7', destination: '10.0.0.9', dport: 8080 });
    expect(directed.receive('203.0.113.7:4000 > 192.0.2.80:80 PSH+ACK')).toBe('forwarded');
    expect(directed.receive('10.0.0.9:8080 > 203.0.113.7:4000 ACK')).toBe('forwarded');
    expect(directed.sent).toEqual([expect.stringContaining('192.0.2.80:80 > 203.0.113.7:4000')]);
    expect(directed.service(WEB).stats).toMatchObject({ inPackets: 0, outPackets: 0 });
  });

  test('binds it when the destination was configured, with the next message', () => {
    const directed = backup();
    receive(directed, { client: '203.0.113.7', destination: '10.0.0.9' });
    directed.add(WEB, '10.0.0.9:80');
    expect(directed.destination(WEB, '10.0.0.9:80').activeConnections).toBe(0);
    receive(directed, { client: '203.0.113.7', destination: '10.0.0.9' });
    expect(directed.destination(WEB, '10.0.0.9:80').activeConnections).toBe(1);
    expect(directed.connections).toEqual(['TCP ESTABLISHED 203.0.113.7:4000 192.0.2.80:80 10.0.0.9:80']);
  });

  test('keeps one row of an entry, whatever its client port is', () => {
    const directed = backup();
    // A lookup without the client's port finds the connection that does not have one.
    for (const flags of [TEMPLATE, NO_CPORT, 0])
      for (let i = 0; i < 3; i++) {
        receive(directed, { client: '203.0.113.7', flags, cport: 0 });
        receive(directed, { client: '203.0.113.7', flags, cport: flags === 0 ? 0 : 9 });
      }
    expect(directed.connections).toHaveLength(2);
  });

  test('moves a connection between active and inactive', () => {
    const directed = backup();
    receive(directed, { client: '203.0.113.7' });
    expect(directed.destination(WEB, '10.0.0.1:80')).toMatchObject({ activeConnections: 1 });
    receive(directed, { client: '203.0.113.7', flags: INACTIVE, state: 5 });
    expect(directed.destination(WEB, '10.0.0.1:80')).toMatchObject({
      activeConnections: 0,
      inactiveConnections: 1,
    });
  });

  test('replaces a connection by one with another destination, unless the message reports the end of that', () => {
    const directed = backup();
    directed.add(WEB, '10.0.0.2:80');
    receive(directed, { client: '203.0.113.7' });
    receive(directed, { client: '203.0.113.7', destination: '10.0.0.2', flags: INACTIVE, state: 5 });
    expect(directed.connections).toEqual(['TCP ESTABLISHED 203.0.113.7:4000 192.0.2.80:80 10.0.0.1:80']);
    receive(directed, { client: '203.0.113.7', destination: '10.0.0.2' });
    expect(directed.connections).toEqual(['TCP ESTABLISHED 203.0.113.7:4000 192.0.2.80:80 10.0.0.2:80']);
    expect(directed.destination(WEB, '10.0.0.1:80').activeConnections).toBe(0);
  });

  test('ignores entries of another sync ID, for one packet in version 0, and IPv4-mapped ones of IPv6', () => {
    const directed = new SyncedDirector().start('backup', { syncId: 8 });
    receive(directed, { client: '203.0.113.7' });
    directed.stop('backup');
    directed.start('backup');
    receive(directed, { client: '203.0.113.7', flags: ONE_PACKET }, v0);
    const mapped = message({ client: '2001:db8::7', virtual: '2001:db8::80', destination: '2001:db8::1' });
    Buffer.from('00000000000000000000ffffcb007107', 'hex').copy(mapped, v1.HEADER_BYTES + 24);
    directed.sync.receive(mapped, directed.now);
    expect(directed.connections).toEqual([]);
    expect(directed.sync.counts).toMatchObject({ foreignMessages: 1, refusedEntries: 2, takenEntries: 0 });
  });

  test('keeps one template for each key of a persistence engine that it has', () => {
    const directed = new SyncedDirector();
    directed.serve('udp 192.0.2.80:5060', ['10.0.0.1:5060'], { persistent: 100, engine: 'sip' });
    directed.start('backup');
    const described = { client: '203.0.113.7', protocol: 17, vport: 5060, dport: 5060, flags: TEMPLATE };
    for (const engineData of ['a@b', 'c@d', 'a@b'])
      receive(directed, { ...described, state: 0, timeout: 90, engine: 'sip', engineData });
    receive(directed, { ...described, engine: 'other', engineData: 'e' });
    const templates = () => [...directed.director.connections(directed.now)];
    expect(
      templates()
        .map(({ engine, engineData }) => `${engine} ${engineData}`)
        .sort(),
    ).toEqual(['sip a@b', 'sip c@d']);
    expect(directed.sync.counts).toMatchObject({ takenEntries: 3, refusedEntries: 1 });
  });

  test('gives unknown forwarding methods to the host', () => {
    const directed = backup();
    for (const flags of [4, 5, 6, 7]) {
      receive(directed, { client: `203.0.113.${flags}`, destination: '10.0.0.9', flags });
      expect(directed.receive(`203.0.113.${flags}:4000 > 192.0.2.80:80 ACK`)).toBe('pass');
    }
  });

  test('names a bounded number of destinations that are not configured, and forgets unused ones', () => {
    const directed = new SyncedDirector({ maxConnections: 65_536 }).start('backup');
    directed.serve(WEB, ['10.0.0.1:80']);
    for (let i = 0; i < 17_000; i++) {
      const destination = `10.9.${i >> 8}.${i & 255}`;
      receive(directed, { client: `198.51.${i >> 8}.${i & 255}`, destination, timeout: 1 });
    }
    expect(directed.sync.counts).toMatchObject({ takenEntries: 16_384, refusedEntries: 616 });
    directed.add(WEB, '10.0.0.2:80');
    for (let i = 0; i < 30; i++) directed.wait(10);
    expect(directed.connections).toEqual([]);
    receive(directed, { client: '198.51.100.1', destination: '10.10.0.1' });
    expect(directed.sync.counts).toMatchObject({ takenEntries: 16_385 });
  });
});

/** Changes some bytes of a valid message, or returns random ones. */
function randomMessage(random: () => number): Buffer {
  const below = (bound: number) => Math.floor(random() * bound);
  if (below(10) === 0) return Buffer.from(Array.from({ length: below(120) }, () => below(256)));
  const isV6 = below(4) === 0;
  const entry: Described = {
    client: isV6 ? `2001:db8::${below(8)}` : `203.0.113.${below(8)}`,
    virtual: isV6 ? '2001:db8::80' : '192.0.2.80',
    destination: isV6 ? `2001:db8:1::${below(4)}` : `10.0.0.${below(4)}`,
    cport: below(4),
    vport: [80, 0, 443][below(3)]!,
    dport: [80, 0, 8080][below(3)]!,
    protocol: [6, 6, 6, 17, 132, 50, 0, 47][below(8)]!,
    flags:
      [0, 3, 2, 1, 4, 0x83, INACTIVE, TEMPLATE, NO_CPORT, 0x600, ONE_PACKET][below(11)]! |
      (below(2) * INACTIVE),
    state: below(16),
    timeout: [0, 1, 900, 0xffff_ffff][below(4)]!,
  };
  const bytes = message(entry, !isV6 && below(4) === 0 ? v0 : v1);
  for (let changes = below(4); changes > 0; changes--) {
    const at = below(bytes.length);
    // The length is what a random change invalidates most often.
    if (at !== 2 && at !== 3) bytes[at] = below(256);
  }
  return bytes;
}

/** Lets all rows end. */
function endAll(directed: SyncedDirector): void {
  const { table } = directed.director.context;
  for (let tries = 0; tries < 3; tries++) {
    for (const row of table.rows()) {
      table.setTimeout(row, 0);
      table.expireNow(row);
    }
    directed.wait(1);
  }
}

test(`${DATAGRAMS} random and changed messages do no harm`, () => {
  const random = seeded(7);
  const directed = new SyncedDirector({ maxConnections: 512 }).start('backup', { syncId: 0 }).start('master');
  directed.serve(WEB, ['10.0.0.1:80', '10.0.0.2:80']);
  const { table, destinations, engineData } = directed.director.context;
  for (let i = 0; i < DATAGRAMS; i++) {
    directed.sync.receive(randomMessage(random), directed.now);
    if (i % 16 === 0) {
      const flags = ['SYN', 'ACK', 'FIN+ACK', 'RST'][Math.floor(random() * 4)];
      const client = `203.0.113.${Math.floor(random() * 8)}:${Math.floor(random() * 4)}`;
      directed.receive(`${client} > 192.0.2.80:80 ${flags}`);
    }
    if (i % 500 === 0) {
      directed.wait(3);
      directed.messages.length = 0;
      directed.sent.length = 0;
    }
    if (i % 5000 !== 0) continue;
    expect(table.size).toBeLessThanOrEqual(512);
    expect([...directed.director.connections(directed.now)]).toHaveLength(table.size);
    endAll(directed);
    expect(table.size).toBe(0);
  }
  expect(directed.sync.counts.takenEntries).toBeGreaterThan(DATAGRAMS / 20);
  expect(directed.sync.counts.malformedMessages).toBeGreaterThan(DATAGRAMS / 20);
  // Every row is taken off the counts of its destination, and leaves nothing behind.
  endAll(directed);
  for (let i = 0; i < 40; i++) directed.wait(10);
  const known = destinations.all.filter((each) => each !== undefined);
  expect(known.map(({ references }) => references)).toEqual([0, 0]);
  expect(engineData.size).toBe(0);
});

test('a backup goes on with an FTP control connection whose sequence numbers a translated address has moved', () => {
  /** Sequence numbers of what a director sends to the client. */
  class FtpDirector extends SyncedDirector {
    readonly sequences: number[] = [];
    override transmit(frame: Frame, nextHop: Address): boolean {
      const packet = new Packet();
      if (packet.decode(frame) && packet.srcPort === 21)
        this.sequences.push(tcp.sequence(frame, packet.transport));
      return super.transmit(frame, nextHop);
    }
  }
  const client = '203.0.113.7:4000';
  const hex = (text: string) => `hex=${Buffer.from(`${text}\r\n`).toString('hex')}`;
  const [master, other] = [new FtpDirector(), new FtpDirector()];
  for (const each of [master, other]) each.serve('tcp 192.0.2.80:21', ['10.0.0.1:21']);
  master.start('master');
  other.start('backup');
  master.exchange(
    `${client} > 192.0.2.80:21 SYN seq=99`,
    `10.0.0.1:21 > ${client} SYN+ACK seq=999 ack=100`,
    `${client} > 192.0.2.80:21 ACK seq=100 ack=1000`,
    `${client} > 192.0.2.80:21 ACK+PSH seq=100 ack=1000 ${hex('PASV')}`,
    `10.0.0.1:21 > ${client} ACK+PSH seq=1000 ack=106 ${hex('227 Entering (10,0,0,1,100,1)')}`,
  );
  for (let i = 0; i < 3; i++) master.wait(1);
  for (const { message } of master.messages) other.sync.receive(message, other.now);
  // The reply has 31 bytes at the server, and 2 more at the client.
  other.receive(`10.0.0.1:21 > ${client} ACK+PSH seq=1031 ack=106 ${hex('226 Done')}`);
  expect(other.sequences).toEqual([1033]);
  expect(other.receive(`${client} > 192.0.2.80:21 ACK seq=106 ack=1043`)).toBe('forwarded');
  other.receive(`10.0.0.1:21 > ${client} ACK+PSH seq=1041 ack=106 ${hex('220 More')}`);
  expect(other.sequences).toEqual([1033, 1043]);
});

/** When a master sends, beyond the recordings of the kernel (test/conformance). */
import { describe, expect, test } from 'vitest';
import type { SettingName } from '../../src/model/settings.ts';
import { SyncEntry } from '../../src/sync/entry.ts';
import * as v1 from '../../src/sync/message-v1.ts';
import { SyncedDirector } from './synced-director.ts';

const WEB = 'tcp 192.0.2.80:80';
const HANDSHAKE = [
  '203.0.113.7:4000 > 192.0.2.80:80 SYN',
  '10.0.0.1:80 > 203.0.113.7:4000 SYN+ACK',
  '203.0.113.7:4000 > 192.0.2.80:80 ACK',
];
const DATA = '203.0.113.7:4000 > 192.0.2.80:80 PSH+ACK';

function master(settings: Partial<Record<SettingName, number>> = {}, persistent = 0): SyncedDirector {
  const directed = new SyncedDirector();
  directed.serve(WEB, ['10.0.0.1:80'], { persistent });
  for (const [name, value] of Object.entries(settings)) directed.set(name as SettingName, value);
  return directed.start('master');
}

/** Lets messages be sent, and returns the states of the entries, with T for templates. */
function states(directed: SyncedDirector): string[] {
  for (let i = 0; i < 3; i++) directed.wait(1);
  const entry = new SyncEntry();
  const all: string[] = [];
  const take = () => all.push(`${(entry.flags & 0x1000) !== 0 ? 'T' : ''}${entry.state}`);
  for (const { message } of directed.messages.splice(0)) v1.readEntries(message, entry, take, take);
  return all;
}

describe('sync_threshold', () => {
  test('sends packets 3 and 53 of a connection', () => {
    const directed = master();
    directed.exchange(...HANDSHAKE);
    expect(states(directed)).toEqual([]);
    for (let packet = 3; packet <= 60; packet++) directed.receive(DATA);
    expect(states(directed)).toEqual(['1', '1']);
  });

  test('with a period of 0 sends a connection once', () => {
    const directed = master({ sync_threshold: 4, sync_period: 0 });
    directed.exchange(...HANDSHAKE, ...Array<string>(100).fill(DATA));
    expect(states(directed)).toEqual(['1']);
  });
});

describe('sync_refresh_period', () => {
  const settings = { sync_threshold: 3, sync_period: 0, sync_refresh_period: 60 } as const;

  test('sends the first packet that is established, and the next one a period later', () => {
    const directed = master(settings);
    directed.exchange(...HANDSHAKE, DATA, DATA);
    expect(states(directed)).toEqual(['1']);
    directed.wait(50);
    directed.receive(DATA);
    expect(states(directed)).toEqual([]);
    directed.wait(10);
    directed.receive(DATA);
    expect(states(directed)).toEqual(['1']);
  });

  test('with sync_retries repeats a message after an eighth of the period', () => {
    const directed = master({ ...settings, sync_retries: 2 });
    directed.exchange(...HANDSHAKE);
    const sent: number[] = [];
    for (let second = 0; second < 40; second++) {
      directed.wait(1);
      directed.receive(DATA);
      if (directed.sync.counts.sentEntries > sent.length) sent.push(second);
    }
    expect(directed.sync.counts.sentEntries).toBe(3);
  });
});

test('with sync_persist_mode templates alone are sent', () => {
  const directed = master({ sync_persist_mode: 1 }, 100);
  directed.exchange(...HANDSHAKE, DATA);
  expect(states(directed)).toEqual(['T0', 'T1', 'T1']);
});

test('a closing state is sent once, at once', () => {
  const directed = master();
  directed.exchange(...HANDSHAKE, '203.0.113.7:4000 > 192.0.2.80:80 FIN+ACK');
  directed.exchange('203.0.113.7:4000 > 192.0.2.80:80 ACK', '203.0.113.7:4000 > 192.0.2.80:80 RST');
  expect(states(directed)).toEqual(['7', '6']);
});

describe('a hand-over', () => {
  const handOver = (directed: SyncedDirector): string[] => {
    directed.sync.handOver(0, directed.sync.places, directed.now);
    expect(directed.sync.flush(directed.now)).toBe(0);
    return states(directed);
  };

  test('sends what backups do not know, connections that are being opened included, and sends it at once', () => {
    const directed = master({}, 100);
    directed.exchange(HANDSHAKE[0]!);
    directed.messages.length = 0;
    expect(handOver(directed).sort()).toEqual(['3', 'T0']);
    expect(handOver(directed)).toEqual([]);
    directed.exchange(...HANDSHAKE.slice(1));
    expect(handOver(directed)).toContain('1');
  });

  test('sends no connection that a backup received in its present state', () => {
    const first = master({ sync_threshold: 2 });
    first.exchange(...HANDSHAKE);
    first.sync.flush(first.now);
    const second = new SyncedDirector();
    second.serve(WEB, ['10.0.0.1:80']);
    second.start('backup').start('master');
    for (const { message } of first.messages) second.sync.receive(message, second.now);
    expect(second.sync.counts.takenEntries).toBe(1);
    expect(handOver(second)).toEqual([]);
  });

  test('sends nothing without a master', () => {
    const directed = new SyncedDirector().start('backup');
    expect(directed.sync.places).toBe(0);
    expect(handOver(directed)).toEqual([]);
  });
});

test('messages wait while the network takes none, at most sync_qlen_max of them', () => {
  const directed = new SyncedDirector();
  directed.serve(WEB, ['10.0.0.1:80']);
  directed.set('sync_threshold', 1);
  directed.set('sync_qlen_max', 2);
  directed.set('sloppy_tcp', 1);
  directed.start('master', { maxLength: 44 });
  directed.isOpen = false;
  for (let port = 1; port <= 5; port++) directed.receive(`203.0.113.7:${port} > 192.0.2.80:80 ACK`);
  directed.isOpen = true;
  // One in the buffer, two that wait.
  expect(states(directed)).toHaveLength(3);
  expect(directed.sync.counts).toMatchObject({ sentEntries: 5, droppedMessages: 2, sentMessages: 3 });
});

test('a message has at most 255 entries, which its header can count', () => {
  const directed = new SyncedDirector();
  directed.serve(WEB, ['10.0.0.1:80']);
  directed.set('sync_threshold', 1);
  directed.set('sloppy_tcp', 1);
  directed.start('master', { maxLength: 65_507 });
  for (let port = 1001; port <= 1300; port++) directed.receive(`203.0.113.7:${port} > 192.0.2.80:80 ACK`);
  expect(states(directed)).toHaveLength(300);
});

test('several ports share the connections, each of which keeps its port', () => {
  const directed = new SyncedDirector();
  directed.serve(WEB, ['10.0.0.1:80']);
  directed.set('sync_ports', 4);
  directed.set('sloppy_tcp', 1);
  directed.set('sync_threshold', 1);
  directed.start('master');
  for (let port = 1; port <= 100; port++) directed.receive(`203.0.113.7:${port} > 192.0.2.80:80 ACK`);
  for (let i = 0; i < 4; i++) directed.wait(1);
  expect(directed.messages.map(({ port }) => port).sort()).toEqual([0, 1, 2, 3]);
});

describe('with a kernel path', () => {
  /** As a program of the kernel forwards packets: only the row shows it. */
  function forwardUnseen(directed: SyncedDirector, packets: number): void {
    const { table } = directed.director.context;
    for (const row of table.rows()) table.addPackets(row, packets);
  }

  function withKernelPath(): SyncedDirector {
    const directed = new SyncedDirector();
    directed.director.context.kernelPath.attach({
      learn: () => {},
      hold: () => {},
      collect: () => {},
      admission: () => undefined,
      admitted: () => {},
    });
    directed.serve(WEB, ['10.0.0.1:80']);
    return directed;
  }

  test('packets that a program forwarded count', () => {
    const directed = withKernelPath().start('master');
    directed.wait(2);
    directed.exchange(...HANDSHAKE);
    forwardUnseen(directed, 4);
    expect(states(directed)).toEqual(['1']);
    forwardUnseen(directed, 40);
    expect(states(directed)).toEqual([]);
    forwardUnseen(directed, 10);
    expect(states(directed)).toEqual(['1']);
  });

  test('such packets are seen within 0.1 s', () => {
    const directed = withKernelPath().start('master');
    directed.wait(2);
    directed.exchange(...HANDSHAKE);
    forwardUnseen(directed, 4);
    directed.wait(0.1);
    expect(directed.sync.counts.sentEntries).toBe(1);
  });

  test('connections that existed before the daemon are sent when a packet makes it due', () => {
    const directed = withKernelPath();
    directed.exchange(...HANDSHAKE);
    forwardUnseen(directed, 10);
    directed.start('master');
    expect(states(directed)).toEqual([]);
    forwardUnseen(directed, 41);
    expect(states(directed)).toEqual(['1']);
  });
});

test('with conntrack, entries have the flag for it, as Linux 6.1 sends it', () => {
  const directed = master({ conntrack: 1 });
  directed.exchange(...HANDSHAKE, DATA);
  for (let i = 0; i < 3; i++) directed.wait(1);
  expect(directed.messages.map(({ message }) => message.readUInt32BE(v1.HEADER_BYTES + 4))).toEqual([
    0x1_0000,
  ]);
});

test('snapshots have the counts of synchronization', () => {
  const directed = master();
  directed.exchange(...HANDSHAKE, DATA);
  expect(states(directed)).toEqual(['1']);
  expect(directed.director.snapshot(directed.now).sync).toMatchObject({ sentEntries: 1, sentMessages: 1 });
});

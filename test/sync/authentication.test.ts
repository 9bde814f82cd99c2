/** Messages with a key: what a backup takes, and what it refuses. */
import { describe, expect, test } from 'vitest';
import { SIGNATURE_BYTES } from '../../src/sync/authentication.ts';
import { deriveKey } from '../../src/sync/sync-keys.ts';
import { seeded } from '../support/directed.ts';
import { SyncedDirector } from './synced-director.ts';

const WEB = 'tcp 192.0.2.80:80';
const [KEY, OTHER] = ['11'.repeat(16), '22'.repeat(16)].map((text) => deriveKey(Buffer.from(text, 'hex')));
/** Datagrams of the random test; more of them on demand. */
const DATAGRAMS = Number(process.env['FUZZ_DATAGRAMS'] ?? 20_000);

function director(role: 'master' | 'backup', ...keys: Parameters<SyncedDirector['sync']['setKeys']>[0]) {
  const directed = new SyncedDirector().serve(WEB, ['10.0.0.1:80']) as SyncedDirector;
  directed.set('sync_threshold', 2);
  directed.sync.setKeys(keys);
  return directed.start(role);
}

/** Returns the message about a new connection of this client port. */
function sent(master: SyncedDirector, port = 4000): Buffer {
  const [client, server] = [`203.0.113.7:${port}`, '10.0.0.1:80'];
  master.exchange(`${client} > 192.0.2.80:80 SYN`, `${server} > ${client} SYN+ACK`);
  master.receive(`${client} > 192.0.2.80:80 ACK`);
  for (let i = 0; i < 3; i++) master.wait(1);
  return master.messages.splice(0).at(-1)!.message;
}

const counts = ({ sync }: SyncedDirector) => {
  const { takenEntries: taken, unauthenticatedMessages, staleMessages, replayedMessages } = sync.counts;
  return {
    taken,
    unauthenticated: unauthenticatedMessages,
    stale: staleMessages,
    replayed: replayedMessages,
  };
};
const NOTHING = { taken: 0, unauthenticated: 0, stale: 0, replayed: 0 };

describe('a backup with a key', () => {
  test('takes a message of a master that has the key, once', () => {
    const backup = director('backup', KEY!);
    const message = sent(director('master', KEY!));
    for (let i = 0; i < 3; i++) backup.sync.receive(message, 0);
    expect(counts(backup)).toEqual({ ...NOTHING, taken: 1, replayed: 2 });
    expect(backup.connections).toEqual([expect.stringContaining('TCP ESTABLISHED 203.0.113.7:4000')]);
  });

  test('refuses messages without a tag, of another key, and with any byte changed', () => {
    const backup = director('backup', KEY!);
    backup.sync.receive(sent(director('master')), 0);
    backup.sync.receive(sent(director('master', OTHER!)), 0);
    const message = sent(director('master', KEY!));
    for (let i = 4; i < message.length; i++) {
      const forged = Buffer.from(message);
      forged[i]! ^= 1;
      backup.sync.receive(forged, 0);
    }
    expect(counts(backup)).toEqual({ ...NOTHING, unauthenticated: 2 + message.length - 4 });
    expect(backup.connections).toEqual([]);
  });

  test('refuses the forged end of a connection', () => {
    const backup = director('backup', KEY!);
    const message = sent(director('master', KEY!));
    backup.sync.receive(message, 0);
    const [before] = backup.connections;
    const forged = Buffer.from(message.subarray(0, message.length - SIGNATURE_BYTES));
    forged.writeUInt16BE(forged.length, 2);
    forged.writeUInt16BE(36, 8 + 2);
    forged.writeUInt16BE(6, 8 + 8); // CLOSE
    backup.sync.receive(forged, 0);
    expect(backup.connections).toEqual([before]);
    expect(counts(backup)).toMatchObject({ taken: 1, unauthenticated: 1 });
    // Without a key it is taken, as Linux 6.1 does.
    const open = director('backup');
    open.sync.receive(forged, 0);
    expect(open.connections).toEqual([expect.stringContaining('TCP CLOSE ')]);
  });

  test('takes messages that overtook each other, and refuses each of them afterwards', () => {
    const backup = director('backup', KEY!);
    const master = director('master', KEY!);
    const messages = Array.from({ length: 20 }, (_, i) => sent(master, 4000 + i)).reverse();
    for (const message of [...messages, ...messages]) backup.sync.receive(message, 0);
    expect(counts(backup)).toEqual({ ...NOTHING, taken: 20, replayed: 20 });
  });

  test('refuses messages from before its start, and those of clocks that differ by more than 5 minutes', () => {
    const master = director('master', KEY!);
    const message = sent(master);
    const later = (ms: number) => {
      const backup = new SyncedDirector({ wallTime: master.wallTime + ms })
        .serve(WEB, ['10.0.0.1:80'])
        .start('backup');
      backup.sync.setKeys([KEY!]);
      backup.sync.receive(message, 0);
      return counts(backup);
    };
    expect(later(-200_000)).toMatchObject({ taken: 1 });
    expect(later(-400_000)).toMatchObject({ taken: 0, stale: 1 });
    expect(later(20_000)).toMatchObject({ taken: 0, stale: 1 });
  });

  test('takes messages of both keys while keys are changed', () => {
    const backup = director('backup', OTHER!, KEY!);
    backup.sync.receive(sent(director('master', KEY!)), 0);
    const master = director('master', OTHER!, KEY!);
    backup.sync.receive(sent(master, 4001), 0);
    expect(counts(backup)).toMatchObject({ taken: 2 });
    backup.sync.setKeys([OTHER!]);
    backup.sync.receive(sent(master, 4002), 0);
    backup.sync.receive(sent(director('master', KEY!), 4003), 0);
    expect(counts(backup)).toMatchObject({ taken: 3, unauthenticated: 1 });
  });

  test('changes nothing after any random or changed datagram', () => {
    const random = seeded(7);
    const backup = director('backup', KEY!);
    const message = sent(director('master', KEY!));
    backup.sync.receive(message, 0);
    const before = JSON.stringify(backup.director.snapshot(0).services);
    for (let i = 0; i < DATAGRAMS; i++) {
      const isChanged = i % 2 === 0;
      const datagram = isChanged ? Buffer.from(message) : Buffer.alloc(Math.floor(random() * 200));
      if (isChanged) datagram[Math.floor(random() * datagram.length)] = Math.floor(random() * 256);
      else for (let k = 0; k < datagram.length; k++) datagram[k] = Math.floor(random() * 256);
      backup.sync.receive(datagram, 0);
    }
    expect(backup.connections).toHaveLength(1);
    expect(JSON.stringify(backup.director.snapshot(0).services)).toBe(before);
    expect(backup.sync.counts.takenEntries).toBe(1);
  });
});

/** Returns the servers of a client before its director was lost, and of its next connection 5 minutes later. */
function serversOfClient(...keys: Parameters<SyncedDirector['sync']['setKeys']>[0]): (string | undefined)[] {
  const [master, backup] = (['master', 'backup'] as const).map((role) => director(role, ...keys));
  for (const each of [master!, backup!])
    each.serve('tcp 192.0.2.80:443', ['10.0.0.1:443', '10.0.0.2:443'], { persistent: 60 });
  const client = '203.0.113.7';
  const serverOf = ({ connections }: SyncedDirector, port: number) =>
    connections.find((line) => line.includes(`${client}:${port}`))?.split(' ')[4];
  // The other client has the server that a scheduler selects first.
  for (const from of ['203.0.113.1:4000', `${client}:4000`]) master!.receive(`${from} > 192.0.2.80:443 SYN`);
  const before = serverOf(master!, 4000);
  master!.exchange(`${before} > ${client}:4000 SYN+ACK`, `${client}:4000 > 192.0.2.80:443 ACK`);
  for (let i = 0; i < 4; i++) master!.wait(1);
  for (const { message } of master!.messages) backup!.sync.receive(message, 0);
  for (let i = 0; i < 30; i++) backup!.wait(10);
  backup!.stop('backup');
  backup!.start('master');
  backup!.receive(`${client}:5000 > 192.0.2.80:443 SYN`);
  return [before, serverOf(backup!, 5000)];
}

test('with a key, a template lives as long as its connections, so that the client stays with its server', () => {
  const [before, after] = serversOfClient(KEY!);
  expect(after).toBe(before);
  // As Linux 6.1.
  const [kernelBefore, kernelAfter] = serversOfClient();
  expect(kernelAfter).not.toBe(kernelBefore);
});

test('with a key, a connection is sent when it is established, within 0.4 s', () => {
  const master = director('master', KEY!);
  master.set('sync_threshold', 3);
  const client = '203.0.113.7:4000';
  master.exchange(
    `${client} > 192.0.2.80:80 SYN`,
    `10.0.0.1:80 > ${client} SYN+ACK`,
    `${client} > 192.0.2.80:80 ACK`,
  );
  for (let i = 0; i < 4; i++) master.wait(0.1);
  expect(master.messages).toHaveLength(1);
  // The third packet sends it again without a key.
  for (let i = 0; i < 3; i++) master.receive(`${client} > 192.0.2.80:80 PSH+ACK`);
  for (let i = 0; i < 4; i++) master.wait(0.1);
  expect(master.messages).toHaveLength(1);
  const backup = director('backup', KEY!);
  backup.sync.receive(master.messages[0]!.message, 0);
  expect(backup.connections).toEqual([expect.stringContaining(`TCP ESTABLISHED ${client}`)]);
});

test('a backup without a key takes signed messages, as a kernel does', () => {
  const backup = director('backup');
  backup.sync.receive(sent(director('master', KEY!)), 0);
  expect(counts(backup)).toEqual({ ...NOTHING, taken: 1 });
});

test('a signed message is not longer than the longest message', () => {
  const master = new SyncedDirector().serve(WEB, ['10.0.0.1:80']).start('master', { maxLength: 200 });
  const backup = director('backup', KEY!);
  master.sync.setKeys([KEY!]);
  for (let port = 4000; port < 4010; port++) {
    const client = `203.0.113.7:${port}`;
    master.exchange(`${client} > 192.0.2.80:80 SYN`, `10.0.0.1:80 > ${client} SYN+ACK`);
    master.receive(`${client} > 192.0.2.80:80 ACK`);
  }
  for (let i = 0; i < 3; i++) master.wait(1);
  expect(Math.max(...master.messages.map(({ message }) => message.length))).toBeLessThanOrEqual(200);
  for (const { message } of master.messages) backup.sync.receive(message, 0);
  expect(counts(backup)).toEqual({ ...NOTHING, taken: 10 });
});

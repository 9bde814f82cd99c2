import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { ControlClient } from '../../src/control/client.ts';
import type { DirectorApi } from '../../src/control/director-api.ts';
import { MAX_REQUEST_BYTES } from '../../src/control/protocol.ts';
import { type ControlServerOptions, serveControl } from '../../src/control/server.ts';
import type { Command } from '../../src/model/command.ts';
import { connection, directorApi, TemporaryFolder } from '../support/director-apis.ts';
import { RawClient } from '../support/raw-client.ts';

const service = { protocol: 'tcp', address: '10.9.0.1', port: 80 } as const;
const addService: Command = { op: 'add-service', service, options: { scheduler: 'rr' } };

async function serving(folder: TemporaryFolder, api: DirectorApi, rest: Partial<ControlServerOptions> = {}) {
  return await serveControl({ path: folder.file('director.sock'), api, ...rest });
}

test('commands and snapshots through the socket equal those of the director', async () => {
  using folder = new TemporaryFolder();
  const api = directorApi();
  await using server = await serving(folder, api);
  using client = new ControlClient(server.path);
  const destination = { address: '10.1.0.11', port: 80 };
  const outcomes = await client.apply([
    addService,
    addService,
    { op: 'add-destination', service, destination, options: { method: 'nat', weight: 7 } },
    { op: 'delete-destination', service, destination: { address: '10.1.0.12', port: 80 } },
  ]);
  expect(outcomes.map((outcome) => outcome?.code)).toEqual([
    undefined,
    'SERVICE_EXISTS',
    undefined,
    'NO_SUCH_DESTINATION',
  ]);
  expect(await client.snapshot({ services: true })).toEqual(await api.snapshot({ services: true }));
  expect((await client.snapshot({ services: true })).services).toHaveLength(1);
  expect((await client.snapshot({})).services).toEqual([]);
  expect((await client.snapshot({ services: service })).services[0]?.destinations).toHaveLength(1);
  expect((await client.snapshot({ services: { ...service, port: 81 } })).services).toEqual([]);
});

test('a service list that does not fit in one line arrives in order', async () => {
  using folder = new TemporaryFolder();
  await using server = await serving(folder, directorApi());
  using client = new ControlClient(server.path);
  const ports = Array.from({ length: 2500 }, (_, i) => i + 1);
  await client.apply(
    ports.map((port) => ({ op: 'add-service', service: { ...service, port }, options: { scheduler: 'rr' } })),
  );
  const { services } = await client.snapshot({ services: true });
  expect(services.map((each) => ('port' in each.service ? each.service.port : 0))).toEqual(ports);
});

test.each([
  ['invalid JSON', 'garbage'],
  ['an empty line', ''],
  ['no object', '[]'],
  ['another version', '{"version":2,"ask":"connections"}'],
  ['no version', '{"ask":"connections"}'],
  ['another question', '{"version":1,"ask":"passwords"}'],
  ['no parts', '{"version":1,"ask":"snapshot"}'],
  ['parts of nothing', '{"version":1,"ask":"snapshot","parts":{"services":3}}'],
  ['commands that are none', '{"version":1,"ask":"apply","commands":{}}'],
  ['another command', '{"version":1,"ask":"apply","commands":[{"op":"__proto__"}]}'],
  ['a command without its service', '{"version":1,"ask":"apply","commands":[{"op":"delete-service"}]}'],
  ['a field too many', '{"version":1,"ask":"apply","commands":[{"op":"flush","now":true}]}'],
  [
    'a weight in letters',
    '{"version":1,"ask":"apply","commands":[{"op":"add-destination","service":{"mark":1,"family":4},"destination":{"address":"10.1.0.11","port":0},"options":{"method":"masq","weight":"much"}}]}',
  ],
])('%s is answered with an error and the end, and does not affect other clients', async (_what, line) => {
  using folder = new TemporaryFolder();
  await using server = await serving(folder, directorApi());
  using other = new ControlClient(server.path);
  await other.apply([addService]);
  using client = await RawClient.at(server.path);
  const answer: unknown = JSON.parse(await client.say(`${line}\n`).ended);
  expect(answer).toMatchObject({ error: { code: 'PROTOCOL' } });
  expect(server.counters.failed).toBe(1);
  expect((await other.snapshot({ services: true })).services).toHaveLength(1);
});

test('a request without an end is cut off at the size limit', async () => {
  using folder = new TemporaryFolder();
  await using server = await serving(folder, directorApi());
  using client = await RawClient.at(server.path);
  const answer = await client.say('x'.repeat(MAX_REQUEST_BYTES + 1)).ended;
  expect(answer).toContain(`at most ${MAX_REQUEST_BYTES} bytes`);
  expect(server.counters.failed).toBe(1);
});

test('a client that keeps writing after an error can still read the error', async () => {
  using folder = new TemporaryFolder();
  await using server = await serving(folder, directorApi());
  using client = await RawClient.at(server.path);
  const answer = await client.say(`garbage\n${'x'.repeat(MAX_REQUEST_BYTES / 2)}`).ended;
  expect(answer).toContain('expected JSON');
});

/** Says the same again and again until it cannot any more. */
function sayOn({ socket }: RawClient, text: string): void {
  socket.allowHalfOpen = true;
  socket.on('data', () => {});
  const again = () => {
    if (!socket.destroyed) socket.write(text, () => setImmediate(again));
  };
  again();
}

test.each([
  ['for too long', '\n', 20],
  ['too much', `${'x'.repeat(100_000)}\n`, 60_000],
])('a client that keeps writing %s after an error is cut off', async (_what, text, leaveTimeout) => {
  using folder = new TemporaryFolder();
  await using server = await serving(folder, directorApi(), { leaveTimeout });
  using client = await RawClient.at(server.path);
  sayOn(client, text);
  await client.ended;
  expect(server.counters).toMatchObject({ requests: 1, failed: 1 });
});

test('stopping the director disconnects clients that stay after an error', async () => {
  using folder = new TemporaryFolder();
  const server = await serving(folder, directorApi(), { leaveTimeout: 60_000 });
  using client = await RawClient.at(server.path);
  client.say('garbage\n').socket.allowHalfOpen = true;
  await once(client.socket, 'end');
  await server.close();
  sayOn(client, '\n');
  await client.ended;
  expect(server.counters.failed).toBe(1);
});

test('a client that does not finish its request is disconnected', async () => {
  using folder = new TemporaryFolder();
  await using server = await serving(folder, directorApi(), { requestTimeout: 20 });
  using client = await RawClient.at(server.path);
  expect(await client.say('{"version":1,').ended).toBe('');
  expect(server.counters.timedOut).toBe(1);
});

test('one client too many takes the place of the one that has been idle for longest', async () => {
  using folder = new TemporaryFolder();
  await using server = await serving(folder, directorApi(), { maxClients: 2 });
  using first = await RawClient.at(server.path);
  using second = new ControlClient(server.path);
  await second.snapshot({});
  using third = new ControlClient(server.path);
  await third.apply([addService]);
  expect(await first.ended).toBe('');
  expect((await second.snapshot({ services: true })).services).toHaveLength(1);
  expect(server.counters).toMatchObject({ timedOut: 1, refused: 0 });
});

test('32 idle clients do not keep an operator out', async () => {
  using folder = new TemporaryFolder();
  await using server = await serving(folder, directorApi());
  const idle = await Promise.all(Array.from({ length: 32 }, () => RawClient.at(server.path)));
  using operator = new ControlClient(server.path);
  expect((await operator.snapshot({})).services).toEqual([]);
  for (const each of idle) each[Symbol.dispose]();
});

test('one client too many gets an error while all others wait for results', async () => {
  using folder = new TemporaryFolder();
  const api = directorApi();
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const slow: DirectorApi = {
    ...api,
    snapshot: async (parts) => {
      await released;
      return await api.snapshot(parts);
    },
  };
  await using server = await serving(folder, slow, { maxClients: 2 });
  using first = new ControlClient(server.path);
  using second = new ControlClient(server.path);
  const snapshots = [first.snapshot({}), second.snapshot({})];
  await expect.poll(() => server.counters.requests).toBe(2);
  using third = new ControlClient(server.path);
  await expect(third.snapshot({})).rejects.toThrow('2 clients');
  expect(server.counters.refused).toBe(1);
  release();
  expect(await Promise.all(snapshots)).toHaveLength(2);
});

/** An API whose connections never end; `pulled` chunks so far. */
function endlessApi() {
  const chunk = Array.from({ length: 1000 }, (_, i) => connection(i));
  const state = { pulled: 0, stop: () => {} };
  const stopped = new Promise<void>((resolve) => {
    state.stop = resolve;
  });
  const api: DirectorApi = {
    ...directorApi(),
    async *connections() {
      try {
        for (;;) {
          state.pulled++;
          yield chunk;
          await nextTurn();
        }
      } finally {
        state.stop();
      }
    },
  };
  return { api, state, stopped };
}

test('a client that disconnects during a listing ends the listing', async () => {
  using folder = new TemporaryFolder();
  const { api, stopped } = endlessApi();
  await using server = await serving(folder, api);
  using client = await RawClient.at(server.path);
  client.socket.write('{"version":1,"ask":"connections"}\n');
  await once(client.socket, 'data');
  client.socket.destroy();
  await stopped;
  using other = new ControlClient(server.path);
  await other.snapshot({});
  expect(server.counters.vanished).toBe(1);
});

test('the server reads no more from the director than the client reads', async () => {
  using folder = new TemporaryFolder();
  const { api, state } = endlessApi();
  await using server = await serving(folder, api);
  using client = await RawClient.at(server.path);
  client.socket.write('{"version":1,"ask":"connections"}\n');
  await once(client.socket, 'readable');
  for (let turn = 0; turn < 500; turn++) await nextTurn();
  const before = state.pulled;
  expect(before).toBeLessThan(20);
  let read = 0;
  for await (const octets of client.socket) {
    read += (octets as Buffer).length;
    if (read > 5_000_000) break;
  }
  expect(state.pulled).toBeGreaterThan(before);
});

test('a client that stops reading is disconnected', async () => {
  using folder = new TemporaryFolder();
  const { api, stopped } = endlessApi();
  await using server = await serving(folder, api, { readTimeout: 20 });
  using client = await RawClient.at(server.path);
  client.socket.write('{"version":1,"ask":"connections"}\n');
  await stopped;
  expect(server.counters.timedOut).toBe(1);
});

test('an answer that fails in the director is an error for its client, logged once', async () => {
  using folder = new TemporaryFolder();
  const problems: unknown[] = [];
  const api: DirectorApi = {
    ...directorApi(),
    snapshot: () => Promise.reject(new TypeError('a fault')),
  };
  await using server = await serving(folder, api, { onProblem: (problem) => problems.push(problem) });
  using client = new ControlClient(server.path);
  await expect(client.snapshot({})).rejects.toThrow('internal error');
  expect(problems.map(String)).toEqual(['TypeError: a fault']);
});

test('several requests of one client are answered in order', async () => {
  using folder = new TemporaryFolder();
  await using server = await serving(folder, directorApi());
  using client = await RawClient.at(server.path);
  const request = (port: number) =>
    JSON.stringify({
      version: 1,
      ask: 'apply',
      commands: [{ op: 'delete-service', service: { ...service, port } }],
    });
  client.say(`${request(1)}\n${request(2)}\n`).socket.end();
  const answer = await client.ended;
  expect(answer.match(/10\.9\.0\.1:\d/g)).toEqual(['10.9.0.1:1', '10.9.0.1:2']);
});

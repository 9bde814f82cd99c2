import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { ControlClient } from '../../src/control/client.ts';
import { TemporaryFolder } from '../support/director-apis.ts';

/** A director that runs the given function with each client. */
async function impostor(folder: TemporaryFolder, behave: (socket: Socket) => void) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('data', () => behave(socket));
  });
  server.listen(folder.file('s'));
  await once(server, 'listening');
  return {
    path: folder.file('s'),
    [Symbol.dispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

test('without a director the client reports where it looked', async () => {
  using folder = new TemporaryFolder();
  using client = new ControlClient(folder.file('s'));
  await expect(client.snapshot({})).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: `${folder.file('s')}: socket not found: no director is running (or it uses another --socket)`,
  });
});

test('the client does not wait for a director that never answers', async () => {
  using folder = new TemporaryFolder();
  using director = await impostor(folder, () => {});
  using client = new ControlClient(director.path, { timeout: 20 });
  await expect(client.snapshot({})).rejects.toThrow('no answer from the director in 0.02 s');
});

test.each([
  ['ends without an answer', (socket: Socket) => socket.end(), 'the director closed the connection'],
  [
    'ends in the middle',
    (socket: Socket) => socket.end('{"services":[]}\n{"conn'),
    'the director closed the connection',
  ],
  ['breaks off', (socket: Socket) => socket.destroy(), 'the director closed the connection'],
  ['sends invalid data', (socket: Socket) => socket.end('<html>\n'), 'expected JSON'],
  ['omits the snapshot', (socket: Socket) => socket.write('{"end":true}\n'), 'snapshot missing'],
  [
    'refuses',
    (socket: Socket) => socket.end('{"error":{"code":"UNAVAILABLE","message":"too many"}}\n'),
    'too many',
  ],
] as const)('a director that %s is reported', async (_what, behave, message) => {
  using folder = new TemporaryFolder();
  using director = await impostor(folder, behave);
  using client = new ControlClient(director.path);
  await expect(client.snapshot({})).rejects.toThrow(message);
});

test('closing a listing early ends the connection, not the client', async () => {
  using folder = new TemporaryFolder();
  using director = await impostor(folder, (socket) =>
    socket.write('{"connections":[]}\n{"connections":[]}\n'),
  );
  using client = new ControlClient(director.path);
  for await (const _chunk of client.connections()) break;
  for await (const _chunk of client.connections()) break;
  expect.assertions(0);
});

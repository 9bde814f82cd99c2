import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { agentProbe } from '../../src/checks/agent-probe.ts';
import { percentOf, serveAgentCheck } from '../../src/realserver/agent-check.ts';

test.each([
  [0, 2, 100],
  [1, 2, 100],
  [2, 2, 50],
  [4, 2, 25],
  [1000, 2, 1],
  [1, 0, 50],
])('a load of %d on %d processors yields %d %%', (load, processors, percent) =>
  expect(percentOf(load, processors)).toBe(percent),
);

test('a director that connects gets the current words', async () => {
  let percent = 80;
  const server = await serveAgentCheck({ host: '127.0.0.1', port: 0, words: () => `up ready ${percent--}%` });
  const { port } = server.address() as AddressInfo;
  const check = {
    type: 'agent' as const,
    interval: 1,
    timeout: 1,
    fall: 1,
    rise: 1,
    maxStep: 20,
    slowStart: 0,
  };
  const ask = () =>
    agentProbe({ address: '127.0.0.1', port, virtual: '', check }, AbortSignal.timeout(60_000));
  expect((await ask()).agent).toEqual({ health: 'up', admin: 'ready', percent: 80 });
  expect((await ask()).agent).toEqual({ health: 'up', admin: 'ready', percent: 79 });
  server.close();
});

test('input from a client is ignored', async () => {
  const server = await serveAgentCheck({ host: '127.0.0.1', port: 0, words: () => 'drain' });
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.write('GET / HTTP/1.1\r\n\r\n');
  const [text] = (await once(socket, 'data')) as [Buffer];
  expect(text.toString()).toBe('drain\n');
  await once(socket, 'close');
  server.close();
});

test('a port in use is reported', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  await expect(serveAgentCheck({ host: '127.0.0.1', port, words: () => '' })).rejects.toThrowError(
    `agent-check on 127.0.0.1:${port}: cannot listen: `,
  );
  other.close();
});

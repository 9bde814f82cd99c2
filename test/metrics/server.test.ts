import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { serveMetrics } from '../../src/metrics/server.ts';
import { LvsError } from '../../src/model/errors.ts';

const open: Awaited<ReturnType<typeof serveMetrics>>[] = [];
afterEach(() => {
  for (const server of open.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});

async function serve(text: () => Promise<string>, failed: (error: unknown) => void = () => {}) {
  const server = await serveMetrics({ host: '127.0.0.1', port: 0, text, failed });
  open.push(server);
  return (server.address() as AddressInfo).port;
}

test('GET /metrics gives the text of the moment', async () => {
  let count = 0;
  const port = await serve(async () => `metric ${++count}\n`);
  const get = async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  expect([await get(), await get()]).toEqual(['metric 1\n', 'metric 2\n']);
});

test.each([
  ['GET', '/', 404],
  ['POST', '/metrics', 405],
  ['HEAD', '/metrics', 200],
])('%s %s is answered with %d', async (method, path, status) => {
  const port = await serve(async () => 'text\n');
  expect((await fetch(`http://127.0.0.1:${port}${path}`, { method })).status).toBe(status);
});

test('a text that cannot be made is an error of the server’s, and told', async () => {
  const failures: unknown[] = [];
  const port = await serve(
    () => Promise.reject(new Error('broken')),
    (error) => failures.push(error),
  );
  expect((await fetch(`http://127.0.0.1:${port}/metrics`)).status).toBe(500);
  expect(failures).toEqual([new Error('broken')]);
});

test('an address that is taken is an LvsError', async () => {
  const port = await serve(async () => '');
  const again = serveMetrics({ host: '127.0.0.1', port, text: async () => '', failed: () => {} });
  await expect(again).rejects.toThrow(LvsError);
});

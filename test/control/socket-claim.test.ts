import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import { expect, test } from 'vitest';
import { ControlClient } from '../../src/control/client.ts';
import { serveControl } from '../../src/control/server.ts';
import { socketPath } from '../../src/control/socket-path.ts';
import { directorApi, TemporaryFolder } from '../support/director-apis.ts';

const permissions = (path: string): number => statSync(path).mode & 0o777;

/** A socket whose listener is gone. */
async function leaveStale(folder: TemporaryFolder, path: string): Promise<void> {
  const server = createServer();
  server.listen(folder.file('gone'));
  await once(server, 'listening');
  linkSync(folder.file('gone'), path);
  server.close();
  await once(server, 'close');
}

test('only the owner can use the socket, in a directory that other users cannot write to', async () => {
  using folder = new TemporaryFolder();
  const path = folder.file('run/lvs/director.sock');
  await using server = await serveControl({ path, api: directorApi() });
  expect(permissions(server.path)).toBe(0o600);
  expect(permissions(folder.file('run/lvs')) & 0o022).toBe(0);
  expect(readdirSync(folder.file('run/lvs'))).toEqual(['director.sock']);
});

test('a group can be given access', async () => {
  using folder = new TemporaryFolder();
  const group = process.getgid!();
  await using server = await serveControl({ path: folder.file('s'), api: directorApi(), group });
  expect(permissions(server.path)).toBe(0o660);
  expect(statSync(server.path).gid).toBe(group);
});

test('a directory that other users can write to is refused', async () => {
  using folder = new TemporaryFolder();
  mkdirSync(folder.file('open'));
  chmodSync(folder.file('open'), 0o777);
  const serving = serveControl({ path: folder.file('open/s'), api: directorApi() });
  await expect(serving).rejects.toMatchObject({
    code: 'CONFIG',
    message: expect.stringContaining('chmod go-w'),
  });
  expect(readdirSync(folder.file('open'))).toEqual([]);
});

test.each([
  ['parent', 'open/run/s', 'open'],
  ['grandparent', 'open/lvs/run/s', 'open'],
])('a directory whose %s other users can write to is refused', async (_, socket, open) => {
  using folder = new TemporaryFolder();
  mkdirSync(dirname(folder.file(socket)), { recursive: true });
  chmodSync(folder.file(open), 0o777);
  const serving = serveControl({ path: folder.file(socket), api: directorApi() });
  await expect(serving).rejects.toMatchObject({
    code: 'CONFIG',
    message: expect.stringContaining(`folder ${folder.file(open)} is writable by other users`),
  });
});

test('a directory that is reached by a link in a directory of other users is refused', async () => {
  using folder = new TemporaryFolder();
  mkdirSync(folder.file('run'));
  mkdirSync(folder.file('open'));
  chmodSync(folder.file('open'), 0o777);
  symlinkSync(folder.file('run'), folder.file('open/link'));
  const serving = serveControl({ path: folder.file('open/link/s'), api: directorApi() });
  await expect(serving).rejects.toMatchObject({ code: 'CONFIG' });
});

test('a directory below one with the sticky bit is used: only its owner can rename it', async () => {
  using folder = new TemporaryFolder();
  mkdirSync(folder.file('open/run'), { recursive: true });
  chmodSync(folder.file('open'), 0o1777);
  await using server = await serveControl({ path: folder.file('open/run/s'), api: directorApi() });
  expect(existsSync(server.path)).toBe(true);
});

test.skipIf(process.getuid?.() !== 0)('a directory below one of another user is refused', async () => {
  using folder = new TemporaryFolder();
  mkdirSync(folder.file('home/run'), { recursive: true });
  chownSync(folder.file('home'), 1234, 1234);
  const serving = serveControl({ path: folder.file('home/run/s'), api: directorApi() });
  await expect(serving).rejects.toMatchObject({ code: 'CONFIG' });
});

test('folders of directors that were killed at their start are removed, those of running ones are not', async () => {
  using folder = new TemporaryFolder();
  mkdirSync(folder.file('.s-killed'));
  await leaveStale(folder, folder.file('.s-killed/s'));
  mkdirSync(folder.file('.s-starting'));
  const starting = createServer();
  starting.listen(folder.file('.s-starting/s'));
  await once(starting, 'listening');
  await using _server = await serveControl({ path: folder.file('s'), api: directorApi() });
  expect(existsSync(folder.file('.s-killed'))).toBe(false);
  expect(existsSync(folder.file('.s-starting'))).toBe(true);
  starting.close();
});

test('a file that is not a socket is kept', async () => {
  using folder = new TemporaryFolder();
  writeFileSync(folder.file('s'), 'precious');
  await expect(serveControl({ path: folder.file('s'), api: directorApi() })).rejects.toMatchObject({
    code: 'CONFIG',
  });
  expect(readFileSync(folder.file('s'), 'utf8')).toBe('precious');
});

test('a path that is too long is reported', async () => {
  using folder = new TemporaryFolder();
  const serving = serveControl({ path: folder.file('x'.repeat(100)), api: directorApi() });
  await expect(serving).rejects.toMatchObject({
    code: 'CONFIG',
    message: expect.stringContaining('107 bytes'),
  });
});

test('a second director reports the first one, which continues', async () => {
  using folder = new TemporaryFolder();
  const path = folder.file('s');
  await using first = await serveControl({ path, api: directorApi() });
  await expect(serveControl({ path, api: directorApi() })).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringContaining('another director'),
  });
  using client = new ControlClient(first.path);
  expect((await client.snapshot({})).timeouts.tcp).toBe(900);
});

test('a stale socket is replaced', async () => {
  using folder = new TemporaryFolder();
  const path = folder.file('s');
  await leaveStale(folder, path);
  await using server = await serveControl({ path, api: directorApi() });
  using client = new ControlClient(server.path);
  expect((await client.snapshot({})).timeouts.tcp).toBe(900);
});

test('when several directors start at once at a stale socket, exactly one claims it', async () => {
  using folder = new TemporaryFolder();
  const path = folder.file('s');
  await leaveStale(folder, path);
  const results = await Promise.allSettled(
    Array.from({ length: 8 }, () => serveControl({ path, api: directorApi() })),
  );
  const servers = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const refusals = results.flatMap((result) =>
    result.status === 'rejected' ? [result.reason as unknown] : [],
  );
  expect(servers).toHaveLength(1);
  for (const refusal of refusals) expect(refusal).toMatchObject({ code: 'UNAVAILABLE' });
  await using _server = servers[0]!;
  using client = new ControlClient(path);
  expect((await client.snapshot({})).timeouts.tcp).toBe(900);
  expect(readdirSync(folder.path)).toEqual(['s']);
});

test('a director removes the socket at its end, and keeps the socket of its successor', async () => {
  using folder = new TemporaryFolder();
  const path = folder.file('s');
  const first = await serveControl({ path, api: directorApi() });
  await first.close();
  expect(existsSync(path)).toBe(false);
  await using second = await serveControl({ path, api: directorApi() });
  await first.close();
  expect(existsSync(second.path)).toBe(true);
});

test('the environment variable names the socket', () => {
  expect(socketPath({})).toBe('/run/lvs/director.sock');
  expect(socketPath({ LVS_SOCKET: '' })).toBe('/run/lvs/director.sock');
  expect(socketPath({ LVS_SOCKET: '/x/y' })).toBe('/x/y');
});

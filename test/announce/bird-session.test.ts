/** Sessions with a BIRD that misbehaves; those with a real one are in test/netns/scale.test.ts. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { AnnounceError } from '../../src/announce/announce-error.ts';
import { BirdSession } from '../../src/announce/bird-session.ts';

let folder: string;
let path: string;
let server: Server | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lvs-bird-'));
  path = join(folder, 'bird.ctl');
});
afterEach(() => {
  server?.close();
  server = undefined;
  rmSync(folder, { recursive: true });
});

const WELCOME = '0001 BIRD 2.0.12 ready.\n';

/** Listens, and answers each command by a function. */
const listen = (welcome: string, answer: (socket: Socket) => void): Promise<void> =>
  new Promise((resolve) => {
    server = createServer((socket) => {
      socket.on('error', () => {});
      socket.write(welcome);
      socket.on('data', () => answer(socket));
    }).listen(path, resolve);
  });

const kindOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'none',
    (error: unknown) => (error instanceof AnnounceError ? error.kind : String(error)),
  );

test('a socket that is missing, or that nothing listens on, is BIRD not running', async () => {
  expect(await kindOf(BirdSession.open(path))).toBe('not-running');
});

test.each(['SSH-2.0-OpenSSH\r\n', '0000 \n', '9001 syntax error\n'])(
  'another program is recognized by its first line: %j',
  async (welcome) => {
    await listen(welcome, () => {});
    expect(await kindOf(BirdSession.open(path))).toBe('invalid-answer');
  },
);

test('a program that sends nothing is given up after the timeout, and so is one that sends an endless line slowly', async () => {
  await listen('', () => {});
  expect(await kindOf(BirdSession.open(path, 50))).toBe('timeout');
  server!.close();
  rmSync(path, { force: true });
  await listen(WELCOME, (socket) => void setInterval(() => socket.write('0'), 5).unref());
  using session = await BirdSession.open(path, 200);
  expect(await kindOf(session.ask('show protocols'))).toBe('timeout');
  expect(session.isOpen).toBe(false);
});

test.each([
  ['garbage', (socket: Socket) => socket.write('\0\xff\n'), 'invalid-answer'],
  ['two replies', (socket: Socket) => socket.write('0000 \n0000 \n0000 \n'), 'none'],
  ['a flood', (socket: Socket) => socket.write('x'.repeat(8_000_000)), 'invalid-answer'],
  ['its end', (socket: Socket) => socket.destroy(), 'not-running'],
  ['half a reply, and its end', (socket: Socket) => socket.end('1002-lvs_1 Static'), 'not-running'],
])('a BIRD that answers with %s ends the session, and nothing else', async (_, answer, kind) => {
  await listen(WELCOME, answer);
  using session = await BirdSession.open(path);
  expect(await kindOf(session.ask('show protocols'))).toBe(kind);
  expect(session.isOpen).toBe(false);
  expect(await kindOf(session.ask('show protocols'))).not.toBe('none');
});

test('an error of a command does not end the session', async () => {
  await listen(WELCOME, (socket) => socket.write('8003 No protocols match\n'));
  using session = await BirdSession.open(path);
  await expect(session.must('disable "lvs_*"')).rejects.toThrow(
    'BIRD refuses `disable "lvs_*"`: No protocols',
  );
  expect(session.isOpen).toBe(true);
});

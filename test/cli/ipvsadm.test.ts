import { spawn } from 'node:child_process';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { serveControl } from '../../src/control/server.ts';
import { connection, directorApi, TemporaryFolder } from '../support/director-apis.ts';
import { built, notBuilt } from '../support/project.ts';

const why = notBuilt('src/cli/ipvsadm', 'src/cli/ipvsadm-save', 'src/cli/ipvsadm-restore');

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs an executable against the socket in the folder. */
function run(folder: TemporaryFolder, name: string, words: readonly string[], stdin = ''): Promise<Ran> {
  const [node, ...file] = built(`src/cli/${name}`);
  const child = spawn(node!, [...file, ...words], {
    env: { ...process.env, LVS_SOCKET: folder.file('s') },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (octets) => {
    stdout += octets;
  });
  child.stderr.on('data', (octets) => {
    stderr += octets;
  });
  child.stdin.on('error', () => {});
  child.stdin.end(stdin);
  return new Promise((resolve) => child.once('close', (status) => resolve({ status, stdout, stderr })));
}

test('the build exists', ({ skip }) => skip(why !== undefined, why));

test.skipIf(why !== undefined)('the executables carry out commands over the socket', async () => {
  using folder = new TemporaryFolder();
  await using server = await serveControl({ path: folder.file('s'), api: directorApi() });
  const ipvsadm = (...words: string[]) => run(folder, 'ipvsadm', words);
  const done = { status: 0, stdout: '', stderr: '' };
  expect(await ipvsadm('-A', '-t', '192.0.2.10:80', '-s', 'rr')).toEqual(done);
  expect(await ipvsadm('-a', '-t', '192.0.2.10:80', '-r', '198.51.100.2', '-m')).toEqual(done);
  expect(await ipvsadm('-A', '-t', '192.0.2.10:80')).toEqual({
    status: 255,
    stdout: '',
    stderr: 'Service already exists\n',
  });
  expect((await ipvsadm('-A')).status).toBe(2);
  expect((await ipvsadm('-Ln', '-t', '192.0.2.10:81')).status).toBe(1);
  const rules = '-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 198.51.100.2:80 -m -w 1\n';
  expect(await run(folder, 'ipvsadm-save', ['-n'])).toEqual({ ...done, stdout: rules });
  expect(await run(folder, 'ipvsadm-restore', [], `# one service\n-A -f 3\n`)).toEqual(done);
  expect((await ipvsadm('-Sn')).stdout).toBe('-A -f 3 -s wlc\n');
  expect(server.counters.failed).toBe(0);
});

test.skipIf(why !== undefined)(
  'without a director they report it, and print what needs no director',
  async () => {
    using folder = new TemporaryFolder();
    expect(await run(folder, 'ipvsadm', ['-Ln'])).toEqual({
      status: 255,
      stdout: '',
      stderr: `ipvsadm: ${folder.file('s')}: socket not found: no director is running (or it uses another --socket)\n`,
    });
    expect((await run(folder, 'ipvsadm', ['-h'])).stdout).toContain('Usage:');
    expect((await run(folder, 'ipvsadm', ['-A'])).status).toBe(2);
  },
);

test.skipIf(why !== undefined)('a reader that closes the pipe ends the listing of connections', async () => {
  using folder = new TemporaryFolder();
  const chunk = Array.from({ length: 1000 }, (_, i) => connection(i));
  let stop = () => {};
  const stopped = new Promise<void>((resolve) => {
    stop = resolve;
  });
  const api = {
    ...directorApi(),
    async *connections() {
      try {
        for (;;) {
          yield chunk;
          await nextTurn();
        }
      } finally {
        stop();
      }
    },
  };
  await using _server = await serveControl({ path: folder.file('s'), api });
  const [node, ...file] = built('src/cli/ipvsadm');
  const child = spawn(node!, [...file, '-Lnc'], { env: { ...process.env, LVS_SOCKET: folder.file('s') } });
  const first = await new Promise<string>((resolve) =>
    child.stdout.once('data', (octets: Buffer) => resolve(octets.toString())),
  );
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  child.stdout.destroy();
  expect(await ended).toBe(0);
  expect(first).toContain('IPVS connection entries\n');
  await stopped;
});

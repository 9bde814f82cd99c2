import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Rule } from '../../../src/config/reload/applied-state.ts';
import { DEFAULT_SETTINGS } from '../../../src/model/settings.ts';
import { openConfiguration } from '../../../src/runtime/configuration/configuration-thread.ts';
import { pack, unpacked } from '../../../src/runtime/configuration/packed.ts';
import { TemporaryFolder } from '../../support/director-apis.ts';
import { PROJECT } from '../../support/project.ts';

const WORKER = pathToFileURL(join(PROJECT, 'dist/src/runtime/configuration/configuration-worker.js'));
const open = (path: string, timeout?: number) => openConfiguration(path, WORKER, timeout);
/** A thread with this program instead of the worker's. */
const scripted = (script: string) =>
  new URL(
    `data:text/javascript,${encodeURIComponent(`
      import { parentPort } from 'node:worker_threads';
      const report = (message) => parentPort.postMessage(message);
      parentPort.on('message', () => {});
      ${script}`)}`,
  );
const FILE = `services:
  - { tcp: '192.0.2.1:80', scheduler: rr, destinations: ['10.0.0.1', '10.0.0.2'] }
`;
const from = (running: readonly Rule[], commands: Parameters<typeof pack>[0]) => ({
  running: pack(running),
  snapshot: { settings: DEFAULT_SETTINGS, timeouts: { tcp: 900, tcpFin: 120, udp: 300 }, daemons: [] },
  commands: pack(commands) as never,
  draining: pack([]),
});

describe('a thread that reads a configuration file', () => {
  test('returns its commands, and plans the reload of a running director', async () => {
    using folder = new TemporaryFolder();
    const path = folder.file('lvs.yaml');
    writeFileSync(path, FILE);
    using read = await open(path);
    const commands = [...unpacked(read.commands)];
    expect(commands.map(({ op }) => op)).toEqual(['add-service', 'add-destination', 'add-destination']);
    expect(read).toMatchObject({ services: 1, adopt: 'keep' });
    // Threads share lists: a copy of long ones would delay packets.
    for (const { buffer } of read.commands.parts) expect(buffer).toBeInstanceOf(SharedArrayBuffer);
    const plan = await read.plan(from([], []));
    expect([...unpacked(plan.commands)].map(({ op }) => op)).toEqual(commands.map(({ op }) => op));
  });

  test('returns the same digest for the same content, whatever the comments', async () => {
    using folder = new TemporaryFolder();
    const digests: string[] = [];
    for (const text of [FILE, `# the same\n${FILE}`, FILE.replace('rr', 'wrr')]) {
      writeFileSync(folder.file('lvs.yaml'), text);
      using read = await open(folder.file('lvs.yaml'));
      digests.push(read.digest);
    }
    expect(digests[1]).toBe(digests[0]);
    expect(digests[2]).not.toBe(digests[0]);
  });

  test('reports each error of the file', async () => {
    using folder = new TemporaryFolder();
    writeFileSync(folder.file('lvs.yaml'), FILE.replace('rr', 'nonsense'));
    await expect(open(folder.file('lvs.yaml'))).rejects.toThrow('nonsense');
  });

  test('refuses a FIFO, a device or a directory at once', async () => {
    using folder = new TemporaryFolder();
    execFileSync('mkfifo', [folder.file('fifo')]);
    for (const path of [folder.file('fifo'), '/dev/zero', '/dev/random', folder.path])
      await expect(open(path)).rejects.toThrow('not a regular file');
  });

  test('is stopped when the file takes too long, and can read the next file', async () => {
    using folder = new TemporaryFolder();
    const path = folder.file('lvs.yaml');
    writeFileSync(path, FILE);
    await expect(openConfiguration(path, scripted("report({ phase: 'reading' });"), 10)).rejects.toThrow(
      'no result in 0.01 s',
    );
    using read = await open(path);
    expect(read.services).toBe(1);
  });

  test('may work for longer than it may wait for the file: a slow host starts late, but it starts', async () => {
    const script = `
      report({ phase: 'reading' });
      report({ phase: 'working' });
      setTimeout(() => report({ error: { code: 'CONFIG', message: 'late result' } }), 200);`;
    await expect(openConfiguration('x', scripted(script), 100)).rejects.toThrow('late result');
  });
});

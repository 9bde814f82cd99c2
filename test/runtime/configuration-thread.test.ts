import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Rule } from '../../src/config/reload/applied-state.ts';
import { DEFAULT_SETTINGS } from '../../src/model/settings.ts';
import { openConfiguration } from '../../src/runtime/configuration-thread.ts';
import { pack, unpacked } from '../../src/runtime/packed.ts';
import { TemporaryFolder } from '../support/director-apis.ts';
import { PROJECT } from '../support/project.ts';

const WORKER = pathToFileURL(join(PROJECT, 'dist/src/runtime/configuration-worker.js'));
const open = (path: string, timeout?: number) => openConfiguration(path, WORKER, timeout);
const FILE = `services:
  - { tcp: '192.0.2.1:80', scheduler: rr, destinations: ['10.0.0.1', '10.0.0.2'] }
`;
const from = (running: readonly Rule[], commands: Parameters<typeof pack>[0]) => ({
  running: pack(running),
  snapshot: { settings: DEFAULT_SETTINGS, timeouts: { tcp: 900, tcpFin: 120, udp: 300 } },
  commands: pack(commands) as never,
  draining: [],
});

describe('a configuration file that is read by a thread', () => {
  test('gives its commands, and plans the reload of a running director', async () => {
    using folder = new TemporaryFolder();
    const path = folder.file('lvs.yaml');
    writeFileSync(path, FILE);
    using read = await open(path);
    const commands = [...unpacked(read.commands)];
    expect(commands.map(({ op }) => op)).toEqual(['add-service', 'add-destination', 'add-destination']);
    expect(read).toMatchObject({ services: 1, adopt: 'keep' });
    const plan = await read.plan(from([], []));
    expect([...unpacked(plan.commands)].map(({ op }) => op)).toEqual(commands.map(({ op }) => op));
  });

  test('has the digest of a file that says the same, whatever its comments', async () => {
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

  test('with errors is refused with each of them', async () => {
    using folder = new TemporaryFolder();
    writeFileSync(folder.file('lvs.yaml'), FILE.replace('rr', 'nonsense'));
    await expect(open(folder.file('lvs.yaml'))).rejects.toThrow('nonsense');
  });

  test('that is a FIFO, a device or a folder is refused at once', async () => {
    using folder = new TemporaryFolder();
    execFileSync('mkfifo', [folder.file('fifo')]);
    for (const path of [folder.file('fifo'), '/dev/zero', '/dev/random', folder.path])
      await expect(open(path)).rejects.toThrow('not a regular file');
  });

  test('that takes too long is given up, and the next one can be read', async () => {
    using folder = new TemporaryFolder();
    const path = folder.file('lvs.yaml');
    writeFileSync(path, FILE);
    await expect(open(path, 0)).rejects.toThrow('no result in 0 s');
    using read = await open(path);
    expect(read.services).toBe(1);
  });
});

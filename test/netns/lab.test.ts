import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Lab } from '../support/lab.ts';
import { LAB_FILES, namesOf, probeNamespaces } from '../support/namespaces.ts';
import { Program } from '../support/program.ts';
import { built, notBuilt, PROJECT } from '../support/project.ts';

const missing = probeNamespaces();
const why = missing ? `${missing.what}: ${missing.why}` : notBuilt('scripts/lab', 'scripts/demo');
const root = process.getuid?.() === 0;

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

/** Makes a laboratory with a server in it, and then waits; its pid is in the names. */
const HOLDING = `
  import { Lab } from '${PROJECT}/dist/test/support/lab.js';
  const lab = await Lab.create();
  await lab.servers[0].spawn(['sleep', '600']);
  console.log('made', lab.id);
  setInterval(() => {}, 1000);
`;
const holding = () => new Program([process.execPath, '--input-type=module', '-e', HOLDING]);

describe.skipIf(why !== undefined)('a laboratory', () => {
  test.each(['dr', 'nat', 'tunnel', 'all'] as const)('connects hosts as its plan says: %s', async (shape) => {
    await using lab = await Lab.create({ shape, ipv6: true });
    await using server = lab.servers[1]!.spawn([
      ...built('test/support/server'),
      '--name',
      'B',
      '--http',
      '80',
    ]);
    await server.line(/^ready$/);
    const from = shape === 'nat' ? lab.director : lab.client;
    expect(await from.exec('curl -sS --max-time 30 http://rs2/')).toBe('I am B');
    if (shape !== 'all') expect(await from.exec('curl -sS --max-time 30 -g http://rs2-v6/')).toBe('I am B');
  });

  test('leaves nothing behind, also after an error', async () => {
    let id = '';
    const failing = async () => {
      await using lab = await Lab.create();
      id = lab.id;
      lab.client.spawn('sleep 600');
      throw new Error('the test fails');
    };
    await expect(failing()).rejects.toThrow('the test fails');
    expect(namesOf((lab) => lab === id.split('.')[0])).toEqual([]);
    expect(existsSync(`${LAB_FILES}/${id}`)).toBe(false);
  });

  test('reports the output of a program whose expected output did not come', async () => {
    await using lab = await Lab.create();
    const program = lab.client.spawn("sh -c 'echo one; exit 3'");
    await expect(program.line(/two/)).rejects.toThrow(/ended with 3 before it said \/two\/; it said:\none/);
  });

  test('is removed by a signal', async () => {
    const process = holding();
    const id = (await process.line(/^made/)).split(' ')[1];
    expect(await process.stop('SIGINT')).toBe(130);
    expect(namesOf((lab) => lab === id)).toEqual([]);
  });

  test('removes what a killed process left behind', async ({ skip }) => {
    skip(!root, 'without root a laboratory dies with its process');
    const process = holding();
    const id = (await process.line(/^made/)).split(' ')[1]!;
    await process.stop('SIGKILL');
    expect(namesOf((lab) => lab === id).length).toBeGreaterThan(0);
    await using _next = await Lab.create();
    expect(namesOf((lab) => lab === id)).toEqual([]);
    expect(existsSync(`${LAB_FILES}/${id}`)).toBe(false);
  });

  test('for interactive use outlives the command', async ({ skip }) => {
    skip(!root, 'without root a laboratory dies with its process');
    const lab = (...words: string[]) =>
      new Promise<{ status: number | null; said: string }>((resolve) => {
        const child = spawn(process.execPath, [built('scripts/lab')[1]!, ...words]);
        let said = '';
        for (const stream of [child.stdout, child.stderr])
          stream.on('data', (octets) => {
            said += octets;
          });
        child.on('close', (status) => resolve({ status, said }));
      });
    try {
      expect((await lab('setup')).said).toContain('192.168.0.4/24');
      expect((await lab('setup')).said).toContain('already exists');
      expect(await lab('exec', 'client', 'curl', '-sS', 'http://rs1/')).toEqual({
        status: 0,
        said: 'I am real server #1\n',
      });
      expect((await lab('exec', 'client', 'sh', '-c', 'exit 7')).status).toBe(7);
    } finally {
      await lab('teardown');
    }
    expect(await lab('status')).toEqual({ status: 1, said: 'no laboratory exists\n' });
  });
});

test('the demo verifies its output', async ({ skip }) => {
  skip(notBuilt('scripts/demo') !== undefined, notBuilt('scripts/demo'));
  await using demo = new Program(built('scripts/demo'));
  expect({ status: await demo.ended, no: demo.lines.filter((line) => line.startsWith('NO')) }).toEqual({
    status: 0,
    no: [],
  });
  expect(demo.lines.filter((line) => line.startsWith('yes')).length).toBeGreaterThan(3);
});

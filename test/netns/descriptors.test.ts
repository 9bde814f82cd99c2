import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { Lab } from '../support/lab.ts';
import { director, ipvsadm, startAgent, startDirector, startServers } from '../support/lvs-programs.ts';
import type { Program } from '../support/program.ts';

const why = clusterMissing();

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

const VIP = '192.168.0.101';
const CONFIG = `method: dr
vips:
  - { interface: eth0, address: ${VIP}, prefix: 24 }
services:
  - tcp: ${VIP}:80
    scheduler: rr
    check: { type: tcp, interval: 1, fall: 1 }
    destinations: [192.168.0.3, 192.168.0.4]
`;
const METRICS = '127.0.0.1:9112';
/** Descriptors of the director: more than it needs itself, fewer than its clients may use. */
const DESCRIPTORS = 100;
/** Clients of each socket that never send anything, and connect again when they are disconnected. */
const IDLE = 100;

describe.skipIf(why !== undefined)('a director without descriptors', () => {
  let lab: Lab;
  let program: Program;
  let client: Program;

  beforeAll(async () => {
    lab = await Lab.create({ servers: 2 });
    const config = join(lab.folder, 'lvs.yaml');
    writeFileSync(config, CONFIG);
    for (const [i, host] of lab.servers.entries()) {
      await startAgent(host, '--vip', lab.vip);
      await startServers(host, i + 1);
    }
    program = await startDirector(lab.director, config, '--datapath', 'live', '--metrics', METRICS);
    // Not before: Node.js opens many modules at a time when it starts.
    await lab.director.exec(`prlimit --pid ${program.pid} --nofile=${DESCRIPTORS}`);
    const path = join(lab.director.folder, 'run', 'director.sock');
    client = lab.director.spawn([
      process.execPath,
      '-e',
      `const { connect } = require('node:net');
       const again = (to) => connect(to).on('error', () => {}).on('close', () => setTimeout(again, 500, to));
       for (let i = 0; i < ${IDLE}; i++) for (const to of [{ path: '${path}' }, { port: 9112, host: '127.0.0.1' }]) again(to);
       console.log('connected');`,
    ]);
    await client.line(/connected/);
    await program.line(/descriptors-exhausted/);
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  test('answers the operator', async () => {
    await expect.poll(() => lab.director.run([...ipvsadm, '-Ln'])).toMatchObject({ status: 0 });
    const get = (path: string) =>
      lab.director.run(['curl', '-sS', '--max-time', '30', `http://${METRICS}${path}`]);
    await expect.poll(() => get('/healthz')).toMatchObject({ status: 0 });
    expect((await get('/readyz')).stdout).toContain('no file descriptors left');
  });

  test('forwards packets to all destinations: no check has failed', async () => {
    const { stdout } = await lab.client.run(
      `for i in 1 2 3 4; do curl -sSf --max-time 30 http://${VIP}/ || exit 1; done | sort -u`,
    );
    expect(stdout.trim().split('\n')).toEqual(['I am real server #1', 'I am real server #2']);
    expect(program.output).not.toMatch(/check-down/);
  });

  test('keeps its interfaces, its VIP and its guard', async () => {
    await lab.director.exec(`ip address delete ${VIP}/32 dev eth0`);
    await expect.poll(() => lab.director.exec('ip -o address')).toContain(VIP);
    const guard = await lab.director.exec('nft list tables');
    const children = readFileSync(`/proc/${program.pid}/task/${program.pid}/children`, 'latin1').split(' ');
    const nft = children.find((pid) => pid !== '' && readFileSync(`/proc/${pid}/comm`, 'latin1') === 'nft\n');
    process.kill(Number(nft), 'SIGKILL');
    await program.line(/guard-failed/);
    // Another table replaces the one whose nft is gone.
    const tables = () => lab.director.exec('nft list tables');
    await expect.poll(tables).toMatch(/^table netdev lvs_director_\w+$/);
    await expect.poll(tables).not.toBe(guard);
    expect(program.output).not.toMatch(/interface-deleted/);
  });

  test('reports that a reload is not possible, or does it, and runs on', async () => {
    await lab.director.run([...director, 'reload']);
    expect(program.running).toBe(true);
  });

  test('recovers when the clients have gone', async () => {
    await client.stop();
    await program.line(/descriptors-exhausted-ended/);
    expect(readdirSync(`/proc/${program.pid}/fd`).length).toBeLessThan(DESCRIPTORS);
    expect(await program.stop()).toBe(0);
  });
});

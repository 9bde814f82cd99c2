import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { Lab } from '../support/lab.ts';
import { director, ipvsadm, startAgent, startDirector, startServers } from '../support/lvs-programs.ts';
import { PATIENCE } from '../support/program.ts';

const why = clusterMissing();

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

const GAINED = 'quorum-up tcp 192.168.0.101:80 1 of 1\n';
const FILE = `method: dr
vips: [{ interface: eth0, address: 192.168.0.101, prefix: 24 }]
director: { inside: { interface: eth0, address: 192.168.0.1, prefix: 24 } }
services:
  - tcp: 192.168.0.101:80
    scheduler: rr
    check: { type: http, interval: 0.2, timeout: 5, fall: 2, rise: 1 }
    inhibit: false
    notify:
      destination-down: [sh, -c, 'echo "$LVS_EVENT $LVS_DESTINATION: $LVS_CAUSE" >> "$0"', NOTES]
      quorum-up: [sh, -c, 'echo "$LVS_EVENT $LVS_SERVICE $LVS_WEIGHT of $LVS_QUORUM" >> "$0"', NOTES]
    destinations: [192.168.0.3]
    sorry: [{ server: 192.168.0.4, inhibit: false }]
`;

describe.skipIf(why !== undefined)('a service whose server fails', () => {
  test('is served by its sorry server until the server returns, and a reload changes neither', async () => {
    await using lab = await Lab.create({ shape: 'dr', servers: 2 });
    const [first, second] = lab.servers;
    for (const server of [first!, second!]) await startAgent(server, '--vip', '192.168.0.101');
    let web = await startServers(first!, 1);
    await startServers(second!, 2);
    const config = join(lab.folder, 'lvs.yaml');
    const notes = join(lab.folder, 'notes');
    const text = FILE.replaceAll('NOTES', notes);
    writeFileSync(config, text);
    const running = await startDirector(lab.director, config);
    const rules = async () => {
      const { stdout } = await lab.director.run([...ipvsadm, '-Sn']);
      return [...stdout.matchAll(/-r (\S+):80/g)].map(([, address]) => address);
    };
    const get = async () =>
      (await lab.client.run(['curl', '-sS', '--max-time', '30', `http://${lab.vip}/`])).stdout;
    const reload = async () => (await lab.director.run([...director, 'reload'])).stdout;

    expect(await rules()).toEqual(['192.168.0.3']);
    expect(await get()).toBe('I am real server #1\n');
    await web.stop();
    await running.line(/quorum-lost service="?tcp 192\.168\.0\.101:80"? weight=0 quorum=1 sorry=/);
    await expect.poll(rules, { timeout: PATIENCE, interval: 100 }).toEqual(['192.168.0.4']);
    expect(await get()).toBe('I am real server #2\n');
    expect(await reload()).toMatch(/\b0 (?:commands|changes)/);
    expect(await rules()).toEqual(['192.168.0.4']);
    const { stdout: top } = await lab.director.run([...director, 'top']);
    expect(top).toMatch(/quorum 1 lost.*192\.168\.0\.3:80 +down.*192\.168\.0\.4:80 +sorry /s);

    // The sorry server leaves the file while it is used, and returns to it.
    writeFileSync(config, text.replace(/ {4}sorry.*\n/, ''));
    await reload();
    expect(await rules()).toEqual([]);
    writeFileSync(config, text);
    await reload();
    await expect.poll(rules, { timeout: PATIENCE, interval: 100 }).toEqual(['192.168.0.4']);

    web = await startServers(first!, 1);
    await running.line(/quorum-gained/);
    await expect.poll(rules, { timeout: PATIENCE, interval: 100 }).toEqual(['192.168.0.3']);
    expect(await get()).toBe('I am real server #1\n');
    await expect
      .poll(() => readFileSync(notes, 'utf8'), { timeout: PATIENCE, interval: 100 })
      .toBe(`${GAINED}destination-down 192.168.0.3:80: connection refused\n${GAINED}`);
  });
});

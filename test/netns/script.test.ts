import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { Lab } from '../support/lab.ts';
import { director, ipvsadm, startDirector, startServers } from '../support/lvs-programs.ts';

const why = clusterMissing();

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

describe.skipIf(why !== undefined)('one script sets up every host of a cluster:', () => {
  test.each([
    ['dr', 'eth0', 'eth0', 0],
    ['nat', 'eth0', 'eth1', 1],
  ] as const)('%s', async (shape, outside, inner, segment) => {
    await using lab = await Lab.create({ shape });
    const config = join(lab.folder, 'lvs.yaml');
    writeFileSync(
      config,
      `method: ${shape}
vips: [{ interface: ${outside}, address: 192.168.0.101, prefix: 24 }]
director: { inside: { interface: ${inner}, address: 192.168.${segment}.1, prefix: 24 } }
settings: { conn_reuse_mode: 1 }
services:
  - { tcp: '192.168.0.101:80', scheduler: rr, destinations: [192.168.${segment}.3, 192.168.${segment}.4] }
`,
    );
    // A director without rules, and its ipvsadm where the script looks for one.
    const empty = join(lab.folder, 'empty.yaml');
    writeFileSync(empty, 'services: []\n');
    await startDirector(lab.director, empty, '--interface', ...new Set([outside, inner]));
    const bin = join(lab.folder, 'bin');
    mkdirSync(bin);
    writeFileSync(join(bin, 'ipvsadm'), `#!/bin/sh\nexec ${ipvsadm.join(' ')} "$@"\n`, { mode: 0o755 });

    const script = join(lab.folder, 'cluster.sh');
    writeFileSync(script, await lab.director.exec([...director, 'compile', '--format', 'script', config]));
    const run = (host: (typeof lab.hosts)[number]) =>
      host.exec(['env', `PATH=${bin}:${process.env['PATH']}`, 'sh', script]);
    // Servers that lost their way back have it again.
    if (shape === 'nat') for (const host of lab.servers) await host.exec('ip route del default');
    expect(await run(lab.director)).toMatch(/^role: director\n(.*\n)*TCP {2}192\.168\.0\.101:80 rr/);
    for (const [i, host] of lab.servers.entries()) {
      expect(await run(host)).toMatch(new RegExp(`^role: real server ${host.address}`));
      await startServers(host, i + 1);
    }
    // A second time changes nothing.
    const addresses = () => Promise.all(lab.hosts.map((host) => host.exec('ip -o address show; ip route')));
    const before = await addresses();
    for (const host of [lab.director, ...lab.servers]) await run(host);
    expect(await addresses()).toEqual(before);

    const stranger = await lab.client.run(['env', `PATH=${bin}:${process.env['PATH']}`, 'sh', script]);
    expect([stranger.status, stranger.stderr]).toEqual([
      1,
      expect.stringContaining('no address of the cluster'),
    ]);
    const answers: string[] = [];
    for (let i = 0; i < 4; i++)
      answers.push(await lab.client.exec(['curl', '-sS', '--max-time', '30', `http://${lab.vip}/`]));
    expect(answers.slice(0, 2).sort()).toEqual(['I am real server #1', 'I am real server #2']);
    expect(answers.slice(2)).toEqual(answers.slice(0, 2));
  });
});

/** ExaBGP on a director announces what the director decides, to BIRD on a router. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { lacking } from '../support/debian.ts';
import { type EcmpNode, EcmpSite, filesOf } from '../support/ecmp-site.ts';
import { director } from '../support/lvs-programs.ts';
import type { Program } from '../support/program.ts';

const why = clusterMissing() ?? lacking('bird', 'bird2') ?? lacking('exabgp');

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

describe.skipIf(why !== undefined)('ExaBGP', () => {
  let site: EcmpSite;
  let node: EcmpNode;
  let exabgp: Program;
  const startExabgp = () => {
    const file = join(node.host.folder, 'exabgp.conf');
    const text = filesOf(['exabgp.conf', 'exabgp6.conf']);
    writeFileSync(file, text.replaceAll('/usr/bin/lvs-director', director.join(' ')));
    exabgp = node.host.spawn(['env', 'exabgp.daemon.user=root', 'exabgp', file]);
  };

  /** Resolves when the router has that many routes to each VIP. */
  const routes = async (count: number) => {
    await site.routes(count);
    await site.routes(count, site.lab.vip);
  };

  beforeAll(async () => {
    site = await EcmpSite.create(['--datapath', process.env['LVS_DATAPATH'] ?? 'live'], 'IPv6');
    node = site.nodes[0]!;
    await node.bird.stop();
    const other = "  - { tcp: '10.99.0.1:80', destinations: [192.168.1.3] }\n";
    site.configure((text) => `${text.replace(/^announce:\n( .*\n)*/m, 'announce: { rise: 0 }\n')}${other}`);
    startExabgp();
    await node.start();
    await routes(1);
  });
  afterAll(() => site?.[Symbol.asyncDispose]());

  test('VIPs are withdrawn by command and at the planned end of the director, and announced again', async () => {
    await node.command('withdraw');
    await routes(0);
    await node.command('announce');
    await routes(1);
    node.director.signal('SIGTERM');
    await routes(0);
    await node.director.ended;
    await node.start();
    await routes(1);
  });

  test('VIPs are withdrawn when the director was killed', async () => {
    await node.director.stop('SIGKILL');
    await routes(0);
    await node.start();
    await routes(1);
  });

  test('VIPs are withdrawn that became unready while the process of ExaBGP had ended', async () => {
    await node.host.exec(`pkill -STOP -P ${exabgp.pid}`);
    await node.command('withdraw');
    await node.host.exec(`pkill -KILL -P ${exabgp.pid}`);
    await routes(0);
    await node.command('announce');
    await routes(1);
  });

  test('VIPs are withdrawn when ExaBGP ends', async () => {
    await exabgp.stop();
    await routes(0);
    startExabgp();
    await routes(1);
  });
});

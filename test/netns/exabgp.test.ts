/** ExaBGP on a director announces what the director decides, to BIRD on a router. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { lacking } from '../support/debian.ts';
import { type EcmpNode, EcmpSite, translated } from '../support/ecmp-site.ts';
import { conf, director } from '../support/lvs-programs.ts';
import type { Program } from '../support/program.ts';

const why = clusterMissing() ?? lacking('bird', 'bird2') ?? lacking('exabgp');

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

describe.skipIf(why !== undefined)('ExaBGP', () => {
  let site: EcmpSite;
  let node: EcmpNode;
  let exabgp: Program;
  const startExabgp = () => {
    const file = join(node.host.folder, 'exabgp.conf');
    const text = translated(readFileSync(conf('bgp/exabgp.conf'), 'utf8'));
    writeFileSync(file, text.replace('/usr/bin/lvs-director', director.join(' ')));
    exabgp = node.host.spawn(['env', 'exabgp.daemon.user=root', 'exabgp', file]);
  };

  beforeAll(async () => {
    site = await EcmpSite.create(['--datapath', process.env['LVS_DATAPATH'] ?? 'live']);
    node = site.nodes[0]!;
    await node.bird.stop();
    site.configure((text) => text.replace(/^announce:\n( .*\n)*/m, 'announce: { rise: 0 }\n'));
    startExabgp();
    await node.start();
    await site.routes(1);
  });
  afterAll(() => site?.[Symbol.asyncDispose]());

  test('a VIP is withdrawn by command and at the planned end of the director, and announced again', async () => {
    await node.command('withdraw');
    await site.routes(0);
    await node.command('announce');
    await site.routes(1);
    node.director.signal('SIGTERM');
    await site.routes(0);
    await node.director.ended;
    await node.start();
    await site.routes(1);
  });

  test('a VIP is withdrawn when the director was killed', async () => {
    await node.director.stop('SIGKILL');
    await site.routes(0);
    await node.start();
    await site.routes(1);
  });

  test('a VIP is withdrawn that became unready while the process of ExaBGP had ended', async () => {
    await node.host.exec(`pkill -STOP -P ${exabgp.pid}`);
    await node.command('withdraw');
    await node.host.exec(`pkill -KILL -P ${exabgp.pid}`);
    await site.routes(0);
    await node.command('announce');
    await site.routes(1);
  });

  test('a VIP is withdrawn when ExaBGP ends', async () => {
    await exabgp.stop();
    await site.routes(0);
    startExabgp();
    await site.routes(1);
  });
});

/** Directors of a cluster whose programs forward are changed, replaced and killed: no client loses a connection. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { etcdMissing } from '../support/etcd-cluster.ts';
import { EtcdSite, SERVERS } from '../support/etcd-site.ts';
import { ipvsadm } from '../support/lvs-programs.ts';
import { PinsMount, pinsMissing } from '../support/pins.ts';
import { PATIENCE } from '../support/program.ts';

const why = clusterMissing() ?? etcdMissing() ?? pinsMissing();
test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

const [A, B, C] = SERVERS;
const HELD = Number(process.env['LVS_CLUSTER_HELD'] ?? 50);
const selected = process.env['LVS_DATAPATH'];

describe.skipIf(why !== undefined).each(selected ? [selected] : ['tc', 'xdp'])('%s', (datapath) => {
  let site: EtcdSite;
  let pins: PinsMount;
  beforeAll(async () => {
    pins = new PinsMount();
    site = await EtcdSite.create({ datapath, directorWords: ['--pins', pins.root] });
    await site.form(site.text([A, B]));
    await site.connect(HELD, 20);
  });
  afterAll(async () => {
    await site?.[Symbol.asyncDispose]();
    pins?.[Symbol.dispose]();
  });

  /** Expects that no client has lost anything since the last call. */
  const unharmed = async (event: string) => {
    const seen = await site.seen();
    if (process.env['LVS_CLUSTER_MEASURE'])
      process.stdout.write(`${datapath}: ${event}: ${JSON.stringify(seen)}\n`);
    expect(seen, JSON.stringify(seen)).toMatchObject({ lost: 0, failed: 0 });
  };
  /** Weights of the third server by director; undefined: it has not the server. */
  const weights = () =>
    Promise.all(
      site.directors.map(async ({ host }) => {
        const rules = await host.exec([...ipvsadm, '-Sn']);
        return new RegExp(` -r ${C}:80 .* -w (\\d+)`).exec(rules)?.[1];
      }),
    );
  const have = (...expected: (string | undefined)[]) =>
    expect.poll(weights, { timeout: PATIENCE }).toEqual(expected);

  test('changes, a replaced and a killed director cost no connection', async () => {
    const [first, second, third] = site.directors;
    await unharmed('before');
    await first!.cluster('apply', site.write(site.text([A, B, C])));
    await have('1', '1', '1');
    await unharmed('generation applied');
    await second!.host.exec([...ipvsadm, '-e', '-t', `${site.lab.vip}:80`, '-r', C, '-g', '-w', '5']);
    await have('5', '5', '5');
    await unharmed('ipvsadm');
    const former = third!.program;
    await third!.start('--replace');
    expect(await former.ended).toBe(0);
    expect(third!.program.output).toMatch(datapath === 'live' ? /table-adopted/ : /path-adopted/);
    await have('5', '5', '5');
    await unharmed('--replace');
    await second!.program.stop('SIGKILL');
    await first!.program.line(/ cluster-member-lost member=vs2/);
    await first!.cluster('apply', site.write(site.text([A, B], 'adopt: replace\n')));
    if (datapath !== 'live') await unharmed('kill -9, and a generation');
    await second!.start();
    // It drains.
    await have('0', '0', '0');
    expect(await first!.cluster('members')).toMatch(/vs2: active, ready/);
    await unharmed('start');
  });
});

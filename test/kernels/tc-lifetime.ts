/** Checks what becomes of tc programs when the director ends, is killed, or another program deletes the qdisc. */
import type { Cluster } from '../support/cluster.ts';
import { director as lvs, startServers } from '../support/lvs-programs.ts';
import { type Check, sharing } from './check.ts';
import { download, openCluster } from './downloads.ts';
import { hasTcx } from './features.ts';

const DEVICE = 'eth0';
const RESTORED = /program-restored/;

export const tcLifetimeChecks = (): Check[] =>
  sharing(
    () => openCluster('tc', 'dr'),
    [
      ...(hasTcx() ? [] : [{ name: 'tc: a deleted clsact qdisc is restored', run: restored }]),
      { name: 'tc: nothing remains after SIGTERM', run: nothingRemains },
      { name: 'tc: after kill -9 and a release every packet passes', run: passesAfterRelease },
      { name: 'tc: the next director forwards', run: nextForwards },
    ],
  );

async function nothingRemains({ lab, director }: Cluster): Promise<string> {
  await director.stop();
  const left = await lab.director.exec(
    `tc filter show dev ${DEVICE} ingress; tc qdisc show dev ${DEVICE} clsact`,
  );
  if (left !== '') throw new Error(`expected no filter and no clsact qdisc: ${left}`);
  return 'neither a filter nor a clsact qdisc';
}

async function restored({ lab, director }: Cluster): Promise<string> {
  const line = director.line(RESTORED);
  await lab.director.exec(`tc qdisc del dev ${DEVICE} clsact`);
  await line;
  await download(lab.client);
  return (await lab.director.exec(`tc filter show dev ${DEVICE} ingress`)).includes('lvs_director')
    ? 'the filter is in place again'
    : Promise.reject(new Error('no filter of that name'));
}

/**
 * The guard of a killed director withholds packets for the VIP until it is released. Then the host itself serves the VIP:
 * packets that the program still took for the director's would be lost.
 */
async function passesAfterRelease(cluster: Cluster): Promise<string> {
  await cluster.startDirector();
  const { lab, director } = cluster;
  await download(lab.client);
  director.signal('SIGKILL');
  await director.ended;
  await lab.director.exec([...lvs, 'stop', '--release']);
  await lab.director.exec(`ip address replace ${lab.vip}/24 dev ${DEVICE}`);
  await using _server = await startServers(lab.director, 1);
  await download(lab.client);
  await lab.director.exec(`ip address del ${lab.vip}/24 dev ${DEVICE}`);
  return 'the host itself answers at the VIP';
}

async function nextForwards(cluster: Cluster): Promise<string> {
  await cluster.startDirector();
  await download(cluster.lab.client);
  return 'as it was sent';
}

/** Checks what becomes of tc programs when the director ends, is killed, or another program deletes the qdisc. */
import { director as lvs, startServers } from '../support/lvs-programs.ts';
import type { SharedCheck } from './check.ts';
import { downloadBy } from './downloads.ts';
import { hasTcx } from './features.ts';
import { type Site, VIPS } from './site.ts';

const DEVICE = 'eth0';
/** Exit status of `lvs-director status` where no director runs, and one has left a path. */
const LEFT = 1;
const RESTORED = /program-restored/;

export const tcLifetimeChecks = (): SharedCheck<Site>[] => [
  ...(hasTcx() ? [] : [{ name: 'tc: a deleted clsact qdisc is restored', run: restored }]),
  { name: 'tc: nothing remains after SIGTERM', run: nothingRemains },
  { name: 'tc: the next director forwards', run: (site) => downloadBy(site, 'tc', 'dr') },
  { name: 'tc: the path goes on after kill -9, and is taken over', run: goesOn },
  { name: 'tc: after kill -9 and a release every packet passes', run: passesAfterRelease },
];

async function nothingRemains(site: Site): Promise<string> {
  await site.director('tc');
  await site.stopDirector();
  const left = await site.lab.director.exec(
    `tc filter show dev ${DEVICE} ingress; tc qdisc show dev ${DEVICE} clsact`,
  );
  if (left !== '') throw new Error(`expected no filter and no clsact qdisc: ${left}`);
  return 'neither a filter nor a clsact qdisc';
}

async function restored(site: Site): Promise<string> {
  const director = await site.director('tc');
  const line = director.line(RESTORED);
  await site.lab.director.exec(`tc qdisc del dev ${DEVICE} clsact`);
  await line;
  await downloadBy(site, 'tc', 'dr');
  const filters = await site.lab.director.exec(`tc filter show dev ${DEVICE} ingress`);
  if (!filters.includes('lvs_director')) throw new Error(`no filter of that name: ${filters}`);
  return 'the filter is in place again';
}

/** A program attached by clsact (before Linux 6.6) outlives its director by a pin of its entry, one at tcx by its link. */
async function goesOn(site: Site): Promise<string> {
  const program = await site.director('tc');
  const { director } = site.lab;
  // The program knows the client's next hop afterwards.
  await downloadBy(site, 'tc', 'dr');
  program.signal('SIGKILL');
  await program.ended;
  const { status, stdout } = await director.run([...lvs, 'status']);
  if (status !== LEFT || !stdout.includes('forwarding without a director'))
    throw new Error(`status: ${stdout}`);
  await site.download('dr');
  const next = await site.director('tc');
  if (!next.output.includes('path-adopted')) throw new Error(`not taken over: ${next.output}`);
  await downloadBy(site, 'tc', 'dr');
  return 'a new connection without a director, and one after the next start';
}

/**
 * The guard of a killed director withholds packets for the VIP until it is released. Then the host itself serves the VIP:
 * packets that the program still took for the director's would be lost.
 */
async function passesAfterRelease(site: Site): Promise<string> {
  const program = await site.director('tc');
  const { director } = site.lab;
  program.signal('SIGKILL');
  await program.ended;
  await director.exec([...lvs, 'stop', '--release']);
  await director.exec(`ip address replace ${VIPS.dr}/24 dev ${DEVICE}`);
  await using _server = await startServers(director, 1);
  await site.download('dr');
  await director.exec(`ip address del ${VIPS.dr}/24 dev ${DEVICE}`);
  return 'the host itself answers at the VIP';
}

/**
 * The demo: builds the laboratory, starts a real director and real servers in it, once for each forwarding method, and
 * lets a client fetch a page; then it starts servers without a director. The exit status is 0 only if all claims of the table
 * at the end hold.
 */
import { Cluster, clusterMissing, type Method } from '../test/support/cluster.ts';
import { contentHash } from '../test/support/content.ts';
import { showNlb } from './demo-nlb.ts';
import { replayDemo } from './demo-replay.ts';

/** A claim, and whether it held. */
export interface Finding {
  readonly where: string;
  readonly claim: string;
  readonly held: boolean;
}

const REQUESTS = 9;
const DOWNLOAD = 5_000_000;
/** The MAC of the laboratory's director on the clients' segment. */
const DIRECTOR_MAC = '02:00:00:00:00:01';

const TITLES: Readonly<Record<Method, string>> = {
  dr: 'Direct routing: the director forwards packets unchanged, real servers reply to the client directly',
  nat: 'NAT: the director translates addresses in both directions, and is the default route of the real servers',
  tunnel:
    'Tunnel: the director encapsulates packets, real servers in any network reply to the client directly',
};
const FORWARD: Readonly<Record<Method, string>> = { dr: 'Route', nat: 'Masq', tunnel: 'Tunnel' };

async function show(method: Method): Promise<Finding[]> {
  const findings: Finding[] = [];
  const finding = (claim: string, held: boolean) => findings.push({ where: method, claim, held });
  console.log(`\n=== ${TITLES[method]}\n`);
  await using cluster = await Cluster.create({ method });
  for (const line of cluster.agents[0]!.lines) console.log(`rs1: ${line}`);
  console.log('');

  const answers: string[] = [];
  for (let i = 0; i < REQUESTS; i++) {
    answers.push(await cluster.get().catch((error: Error) => error.message));
    console.log(`client: curl http://vip/  ->  ${answers[i]}`);
  }
  const [first, second] = answers;
  const both = [first, second].sort().join() === 'I am real server #1,I am real server #2';
  finding('"real server #1" and "real server #2" answer in turn', both && alternate(answers));

  const list = await cluster.ipvsadm();
  console.log(`\nvs1: ipvsadm\n${list}\n`);
  finding(
    'ipvsadm lists telnet and www, rr, two destinations of weight 1 each',
    listed(list, FORWARD[method]),
  );
  const inactive = [...list.matchAll(/-> rs\d:http +\w+ +1 +\d+ +(\d+)/g)].map((match) => Number(match[1]));
  const even = inactive.length === 2 && Math.abs(inactive[0]! - inactive[1]!) <= 1;
  finding(
    'the counts of inactive connections differ by one at most',
    even && inactive[0]! + inactive[1]! > 0,
  );

  const { client, vip } = cluster.lab;
  const banner = await client.exec(['bash', '-c', `exec 3<>/dev/tcp/${vip}/23 && cat <&3`]);
  console.log(`client: telnet vip  ->  ${banner}`);
  finding('a telnet server answers, too', /^I am real server #[12]$/.test(banner));

  const sum = await client.exec(`curl -sS --max-time 20 'http://${vip}/big?octets=${DOWNLOAD}' | sha256sum`);
  finding('a download of 5 MB arrives unchanged', sum.startsWith(contentHash(DOWNLOAD)));
  const replies = await replyPackets(cluster);
  finding(
    method === 'nat' ? 'replies pass through the director' : 'replies bypass the director',
    method === 'nat' ? replies > 0 : replies === 0,
  );
  const neighbor = await client.exec(`ip neigh show ${vip}`);
  finding('the client resolves the VIP to the MAC address of the director', neighbor.includes(DIRECTOR_MAC));

  const ended = await cluster.director.stop();
  const agents = await Promise.all(cluster.agents.map((agent) => agent.stop()));
  finding(
    'the director and the agents exit after SIGTERM',
    [ended, ...agents].every((status) => status === 0),
  );
  const left = await Promise.all(
    [cluster.lab.director, ...cluster.lab.servers].map((host) => host.exec('ip -o address show')),
  );
  finding('no host has the VIP afterwards', !left.join('\n').includes(vip));
  return findings;
}

/** Resolves with the number of reply packets, when the director's statistics include every connection; -1: they never did. */
async function replyPackets(cluster: Cluster): Promise<number> {
  // Statistics are updated every two seconds.
  for (const end = performance.now() + 5_000; performance.now() < end; ) {
    const stats = await cluster.ipvsadm('-L', '-n', '--stats', '--exact');
    const [, connections, replies] = /^TCP +192\.168\.0\.101:80 +(\d+) +\d+ +(\d+)/m.exec(stats) ?? [];
    if (Number(connections) > REQUESTS) return Number(replies);
  }
  return -1;
}

const alternate = (answers: readonly string[]): boolean =>
  answers.every((answer, i) => answer === answers[i % 2]);

function listed(list: string, forward: string): boolean {
  return ['telnet', 'http'].every((port) => {
    const destinations = ['rs1', 'rs2'].map((rs) => ` {2}-> ${rs}:${port} +${forward} +1 +\\d+ +\\d+ *`);
    return new RegExp(`^TCP {2}vip:${port} rr\n${destinations.join('\n')}$`, 'm').test(list);
  });
}

function table(findings: readonly Finding[]): void {
  console.log('\n=== Verified claims\n');
  for (const { where, claim, held } of findings)
    console.log(`${held ? 'yes' : 'NO '}  ${where.padEnd(7)} ${claim}`);
}

const findings: Finding[] = [];
try {
  const missing = clusterMissing();
  if (missing === undefined) {
    for (const method of ['dr', 'nat', 'tunnel'] as const) findings.push(...(await show(method)));
    findings.push(...(await showNlb()));
  } else {
    console.log(`${missing}\nCaptured packets are replayed through the director instead.`);
    findings.push(...replayDemo());
  }
} catch (error) {
  console.error(error);
  findings.push({ where: 'demo', claim: 'completed without an error', held: false });
}
table(findings);
process.exit(findings.length > 0 && findings.every(({ held }) => held) ? 0 : 1);

/** The demo of a cluster without a director: three servers share an address, and one of them is killed. */
import { answered, CLIENTS, from, NlbCluster, sum, VIP } from '../test/support/nlb-cluster.ts';
import type { Finding } from './demo.ts';

const SERVERS = 3;
const EXPLAINED = 3;

/** Resolves with the claims, each tried in a laboratory. */
export async function showNlb(): Promise<Finding[]> {
  const findings: Finding[] = [];
  const finding = (claim: string, held: boolean) => findings.push({ where: 'nlb', claim, held });
  console.log('\n=== No director: servers share an address, and each accepts its part of the clients\n');
  await using cluster = await NlbCluster.create(SERVERS);
  cluster.configure({ mac: 'unicast', servers: SERVERS, lines: ['rules: [{ tcp: 80 }]'] });
  await cluster.startAll();
  const first = cluster.lab.servers[0]!;
  console.log(`rs1: lvs-realserver status\n${await cluster.command(first, 'status')}\n`);
  for (const client of CLIENTS.slice(0, EXPLAINED)) {
    const explained = await cluster.command(first, 'explain', '--from', client, '--rule', 'tcp/80');
    console.log(`rs1: lvs-realserver explain --from ${client} --rule tcp/80  ->  ${explained}`);
  }

  const show = (counts: Record<string, number>) => {
    for (const [name, count] of Object.entries(counts).sort())
      console.log(`${CLIENTS.length} clients: curl http://vip/  ->  ${count} times "I am ${name}"`);
  };
  const all = await cluster.ask('--to', VIP, ...from(CLIENTS));
  show(all);
  const isEach = (counts: Record<string, number>) => answered(counts) && sum(counts) === CLIENTS.length;
  finding(
    'each of 200 clients is answered, by one of three servers',
    isEach(all) && Object.keys(all).length === SERVERS,
  );

  console.log('\nrs3: kill -9 of the agent\n');
  await cluster.agents[2]!.stop('SIGKILL');
  await cluster.converged('rs1', 'rs2');
  const rest = await cluster.ask('--to', VIP, ...from(CLIENTS));
  show(rest);
  finding(
    'the others answer the clients of a killed server',
    isEach(rest) && !Object.hasOwn(rest, 'real server #3'),
  );
  const stayed = ['real server #1', 'real server #2'].every((name) => rest[name]! >= all[name]!);
  finding('and keep their clients', stayed);
  return findings;
}

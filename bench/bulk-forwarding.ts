/** Measures what a bulk transfer does to packets that the director forwards meanwhile: losses, and round trips of requests. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { clusterMissing } from '../test/support/cluster.ts';
import { Lab } from '../test/support/lab.ts';
import { startAgent, startDirector, startServers } from '../test/support/lvs-programs.ts';
import type { Program } from '../test/support/program.ts';
import { built } from '../test/support/project.ts';
import { type Effort, type Figure, tableSizes } from './measure.ts';
import { DESTINATIONS, SERVICE } from './scene.ts';

const SECRET = '5c'.repeat(32);
/** Requests per second of the first attempt, the factor of the next one, and the part of them that may be lost. */
const FIRST_RATE = 1000;
const RATE_STEP = 1.5;
const SATURATED_LOSS = 0.01;
const ATTEMPT_SECONDS = 3;
/** Seconds in which a director starts, and fetches the connections. */
const JOIN_SECONDS = 15;
const BULK_MS = 120_000;

interface Probe {
  readonly sent: number;
  readonly lost: number;
  /** ms. */
  readonly p99: number;
}

export async function bulkForwarding(effort: Effort): Promise<Figure[]> {
  const missing = clusterMissing();
  if (missing !== undefined) {
    console.error(`bench: bulk-forwarding is left out: ${missing}`);
    return [];
  }
  const connections = tableSizes(effort).at(-1)!;
  await using lab = await Lab.create({ pair: true, servers: 1 });
  const [alone, paired] = configure(lab);
  await startAgent(lab.servers[0]!, '--vip', lab.vip);
  await startServers(lab.servers[0]!, 1, [lab.vip]);
  const second = lab.host('vs2');
  const start = (host: typeof second, config: string) =>
    startDirector(host, config, '--connections', String(connections * 2), '--datapath', 'live');
  const feeder = second.spawn([...built('bench/bulk-feeder'), second.address, String(connections), SECRET]);
  await feeder.line(/^ready$/, BULK_MS);
  await lab.director.exec(`ip address add ${lab.vip}/32 dev eth0`);
  const master = await start(lab.director, paired);
  await transferred(master, connections);
  await feeder.stop();

  const rate = (await saturation(lab)) / 2;
  const figures: Figure[] = [
    { name: 'bulk and packets: half of the saturated rate', connections, value: rate, unit: 'requests/s' },
  ];
  // A director that joins takes processor time of this machine, with and without a transfer.
  for (const config of [alone, paired]) {
    const probing = probe(lab, rate, effort.quick ? ATTEMPT_SECONDS : JOIN_SECONDS);
    await using joining = await start(second, config);
    if (config === paired) await transferred(joining, connections);
    const { sent, lost, p99 } = await probing;
    const when = config === paired ? 'while a director fetches the table' : 'while a director starts';
    figures.push(
      { name: `bulk and packets: lost ${when}`, connections, value: (lost / sent) * 100, unit: '%' },
      { name: `bulk and packets: 99th percentile ${when}`, connections, value: p99, unit: 'ms' },
    );
  }
  return figures;
}

/** Writes the files of a director without peers, and of the pair. */
function configure(lab: Lab): readonly [string, string] {
  const key = join(lab.folder, 'sync.key');
  writeFileSync(key, `${SECRET}\n`, { mode: 0o600 });
  return ([[], ['192.168.0.1', '192.168.0.2']] as const).map((peers, i) => {
    const file = join(lab.folder, `lvs${i}.yaml`);
    writeFileSync(
      file,
      `method: dr
sync: { interface: eth0, key-file: ${key}, peers: [${peers.join(', ')}] }
services:
  - { udp: '${lab.vip}:7', scheduler: rr, destinations: [192.168.0.3] }
  - { tcp: '${SERVICE.address}:${SERVICE.port}', scheduler: rr, destinations: [${DESTINATIONS.join(', ')}] }
`,
    );
    return file;
  }) as unknown as readonly [string, string];
}

async function transferred(director: Program, connections: number): Promise<void> {
  const line = await director.line(/ bulk-received /, BULK_MS);
  console.error(`bench: ${line}`);
  if (Number(/connections=(\d+)/.exec(line)?.[1]) < connections) throw new Error(line);
}

async function probe(lab: Lab, rate: number, seconds: number): Promise<Probe> {
  const words = ['--to', lab.vip, '--rate', String(rate), '--seconds', String(seconds)];
  return JSON.parse(await lab.client.exec([...built('bench/load/udp-probe'), ...words])) as Probe;
}

/** Resolves with the highest rate, of those that were tried, at which little is lost. */
async function saturation(lab: Lab): Promise<number> {
  let rate = FIRST_RATE;
  for (;;) {
    const next = Math.round(rate * RATE_STEP);
    const { sent, lost } = await probe(lab, next, ATTEMPT_SECONDS);
    if (lost > sent * SATURATED_LOSS) return rate;
    rate = next;
  }
}

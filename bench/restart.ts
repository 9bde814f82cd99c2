/** Measures the outage for clients when a director is killed and started again, per forwarding method. */
import { Cluster, clusterMissing } from '../test/support/cluster.ts';
import type { Effort, Figure } from './measure.ts';

/** Seconds after which a client opens a new connection, because the packets of the old one were lost. */
const RETRY_S = 0.3;

export async function restart({ quick }: Effort): Promise<Figure[]> {
  const missing = clusterMissing();
  if (missing !== undefined) {
    console.error(`bench: restart is skipped: ${missing}`);
    return [];
  }
  const figures: Figure[] = [];
  for (const method of ['dr', 'nat', 'tunnel'] as const) {
    await using cluster = await Cluster.create({ method });
    const times: number[] = [];
    for (let round = 0; round < (quick ? 1 : 7); round++) times.push(await killAndStart(cluster));
    times.sort((a, b) => a - b);
    figures.push({
      name: `restart: ${method}, from kill -9 to the first answer`,
      value: times[times.length >> 1]!,
      best: times[0]!,
      unit: 'ms',
    });
  }
  return figures;
}

/** Resolves with the time from the director's end to the first answer to a client that retries, ms. */
async function killAndStart(cluster: Cluster): Promise<number> {
  const { client, vip } = cluster.lab;
  await cluster.get();
  await cluster.director.stop('SIGKILL');
  const begin = performance.now();
  const ask = `until curl -sf -o /dev/null --max-time ${RETRY_S} http://${vip}/; do :; done`;
  const answered = client.exec(ask).then(() => performance.now() - begin);
  const [time] = await Promise.all([answered, cluster.startDirector()]);
  return time;
}

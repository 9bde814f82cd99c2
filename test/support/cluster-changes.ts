/**
 * Applies one generation after the other, and prints how long each took until all members had applied it:
 * `cluster-changes ENDPOINTS CLUSTER COUNT FILE...`. The files are applied in turn.
 */
import { readFileSync } from 'node:fs';
import { Keys } from '../../src/cluster/keys.ts';
import { spread } from '../../src/cluster/spread.ts';
import { ClusterStore } from '../../src/cluster/store.ts';
import { EtcdClient } from '../../src/etcd/client.ts';
import { EtcdError } from '../../src/etcd/etcd-error.ts';

/** ms after which a change is taken for lost. */
const LOST_MS = 30_000;
const MAX_REFUSED = 20;

const [endpoints, cluster, count, ...files] = process.argv.slice(2);
const texts = files.map((file) => readFileSync(file, 'utf8'));
using client = new EtcdClient({ endpoints: endpoints!.split(',') });
const store = new ClusterStore(client, new Keys(cluster!), cluster!);
const times: number[] = [];
let lost = 0;
let refused = 0;
for (let i = 0; i < Number(count); i++) {
  const from = performance.now();
  const change = { text: texts[i % texts.length]!, author: 'test', note: '', atMost: 0 };
  let all: Awaited<ReturnType<typeof spread>>;
  try {
    const { generation } = await store.apply(change);
    all = await spread(store, generation, LOST_MS);
  } catch (error) {
    // No leader of etcd: the operator knows, and tries again.
    if (!(error instanceof EtcdError) || ++refused > MAX_REFUSED) throw error;
    i--;
    continue;
  }
  if (all.length > 0 && all.every(({ outcome }) => outcome === 'applied'))
    times.push(performance.now() - from);
  else lost++;
}
times.sort((a, b) => a - b);
const at = (share: number) =>
  Math.round(times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0);
process.stdout.write(
  `${JSON.stringify({ changes: times.length, lost, refused, p50: at(0.5), p99: at(0.99), max: at(1) })}\n`,
);

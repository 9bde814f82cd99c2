import { expect, test } from 'vitest';
import { clusterOf } from '../../../src/cli/director/cluster-of.ts';
import { clusterLines } from '../../../src/cli/director/status.ts';
import { ControlClient } from '../../../src/control/client.ts';
import { serveControl } from '../../../src/control/server.ts';
import { CLUSTER } from '../../support/cluster-status.ts';
import { directorApi, TemporaryFolder } from '../../support/director-apis.ts';

test('status says the cluster, the director and whether etcd is reachable', () => {
  expect(clusterLines({ cluster: CLUSTER })).toEqual([
    'director d1 of the cluster web, active, etcd is reachable',
    'cluster web: 2 of 5 directors online, generation 7, group b 1 of 2, d2 rejected, d3 offline',
  ]);
  expect(clusterLines({ cluster: { ...CLUSTER, state: 'paused', isReachable: false } })[0]).toBe(
    'director d1 of the cluster web, paused, etcd is not reachable',
  );
  expect(clusterLines({ clusterError: 'permission denied' })).toEqual([
    'cluster: unknown: permission denied',
  ]);
  expect(clusterLines({})).toEqual([]);
});

test('the control socket answers with the cluster, or that there is none', async () => {
  using folder = new TemporaryFolder();
  for (const cluster of [CLUSTER, undefined]) {
    const path = folder.file('control');
    const server = await serveControl({
      path,
      api: { ...directorApi(), cluster: async () => cluster },
      onProblem: (problem) => {
        throw problem;
      },
    });
    using client = new ControlClient(path);
    expect(await clusterOf(client)).toEqual(cluster);
    client.close();
    await server.close();
  }
});

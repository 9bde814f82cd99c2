import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ClusterCopy } from '../../../src/runtime/cluster/cluster-copy.ts';

test('a generation that is being applied outlives changes of other parts, and then replaces the former one', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lvs-copy-'));
  try {
    const copy = new ClusterCopy(folder, 'web');
    copy.write(1, 'one');
    copy.save({ id: 'x', generation: 1 });
    copy.write(2, 'two');
    copy.save({ roles: { web: 'spare' } });
    copy.save({ generation: 2 });
    expect(readdirSync(join(folder, 'web')).sort()).toEqual(['cluster.json', 'generation-2.yaml']);
    expect(new ClusterCopy(folder, 'web').state).toEqual({
      id: 'x',
      generation: 2,
      roles: { web: 'spare' },
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

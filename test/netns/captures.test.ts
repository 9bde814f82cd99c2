import { expect, test } from 'vitest';
import { probeNamespaces } from '../support/namespaces.ts';
import { Program } from '../support/program.ts';
import { built, notBuilt } from '../support/project.ts';

const missing = probeNamespaces();
const why = missing
  ? `${missing.what}: ${missing.why}`
  : notBuilt('test/support/interface-changes', 'test/support/grown-mtu');

test('what is needed is there', ({ skip }) => skip(why !== undefined, why));

/** Starts a program in a separate network namespace. */
function isolated(program: string): Program {
  const flags = process.getuid?.() === 0 ? '-nm' : '-Urnm';
  const script = 'mount -t sysfs sysfs /sys && exec "$@"';
  return new Program([...['unshare', flags, 'sh', '-c', script, 'sh'], ...built(program)]);
}

interface Usage {
  readonly descriptors: number;
  readonly mib: number;
  readonly rings: number;
}

test.skipIf(why !== undefined)(
  'captures are closed: 100 changes of each kind keep descriptors, rings and memory',
  async () => {
    await using changes = isolated('test/support/interface-changes');
    expect(await changes.ended).toBe(0);
    const lines = changes.lines.filter((line) => line.startsWith('{'));
    const all = lines.map((line) => JSON.parse(line) as { kind: string; before: Usage; after: Usage });
    expect(all.map(({ kind }) => kind)).toEqual([
      'mtu',
      'down and up',
      'mac',
      'renamed',
      'deleted and made anew',
    ]);
    for (const { kind, before, after } of all) {
      expect([kind, after.rings]).toEqual([kind, before.rings]);
      expect(after.descriptors, kind).toBeLessThanOrEqual(before.descriptors + 2);
      expect(after.mib, kind).toBeLessThan(before.mib + 64);
    }
  },
  400_000,
);

test.skipIf(why !== undefined)(
  'datagrams of an MTU that has grown since the start are received',
  async () => {
    await using program = isolated('test/support/grown-mtu');
    for (const payload of [100, 4000, 101]) await program.line(new RegExp(`^received ${payload}$`));
    expect(await program.ended).toBe(0);
  },
);

import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { TemporaryFolder } from '../support/director-apis.ts';
import { probeNamespaces } from '../support/namespaces.ts';
import { Program } from '../support/program.ts';
import { built, notBuilt } from '../support/project.ts';

const missing = probeNamespaces();
const why = missing
  ? `${missing.what}: ${missing.why}`
  : notBuilt('test/support/interface-changes', 'test/support/grown-mtu', 'src/cli/director');

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

test.skipIf(why !== undefined)(
  'an interface of /sys that is not in the network namespace is an error of one line',
  async () => {
    using folder = new TemporaryFolder();
    const config = folder.file('lvs.yaml');
    writeFileSync(
      config,
      "method: dr\nvips:\n  - { interface: near, address: 192.168.0.101, prefix: 24 }\nservices:\n  - { tcp: '192.168.0.101:80', scheduler: rr, destinations: ['192.168.0.3'] }\n",
    );
    const flags = process.getuid?.() === 0 ? '-nm' : '-Urnm';
    const pair = 'ip link add near type veth peer name far && ip link set near up && ip link set far up';
    // /sys shows the outer namespace, in which the interface has another index.
    const inner = `ip link set lo up && ${pair} && exec "$@"`;
    const script = `mount -t sysfs sysfs /sys && ip link add other type veth && ${pair} && unshare -n sh -c '${inner}' sh "$@"; exit $?`;
    const run = [...built('src/cli/director'), 'run', '--config', config, '--datapath', 'live'];
    await using program = new Program([
      ...['unshare', flags, 'sh', '-c', script, 'sh'],
      ...[...run, '--socket', folder.file('director.sock')],
    ]);
    expect(await program.ended).toBe(1);
    expect(program.lines.at(-1)).toMatch(/interface (near|far): bind\(AF_PACKET\): ENODEV, no such device$/);
    expect(program.lines.join('\n')).not.toContain('    at ');
  },
);

import { writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { TemporaryFolder } from '../support/director-apis.ts';
import { probeNamespaces } from '../support/namespaces.ts';
import { Program } from '../support/program.ts';
import { built, notBuilt } from '../support/project.ts';

const missing = probeNamespaces();
const why = missing
  ? `${missing.what}: ${missing.why}`
  : notBuilt('test/support/interface-changes', 'test/support/grown-mtu', 'src/cli/director');

test('what is needed is there', ({ skip }) => skip(why !== undefined, why));

/** ms after which 100 changes have hung. */
const LIMIT_MS = 400_000;

/** Starts a program in a separate network namespace. */
function isolated(program: string, ...words: string[]): Program {
  const flags = process.getuid?.() === 0 ? '-nm' : '-Urnm';
  const script = 'mount -t sysfs sysfs /sys && exec "$@"';
  return new Program([...['unshare', flags, 'sh', '-c', script, 'sh'], ...built(program), ...words]);
}

interface Usage {
  readonly descriptors: number;
  readonly mib: number;
  readonly rings: number;
}

/** Changes of an interface. They mostly wait, so they are tried at the same time. */
describe
  .skipIf(why !== undefined)
  .concurrent('captures are closed: 100 changes keep descriptors, rings and memory', () => {
    test.each([
      ['of the MTU', 'mtu'],
      ['down and up', 'bounced'],
      ['of the MAC address', 'mac'],
      ['of the name', 'renamed'],
      ['of the interface itself, deleted and created again', 'recreated'],
    ])(
      '%s',
      async (_, kind) => {
        await using changes = isolated('test/support/interface-changes', kind);
        const line = await changes.line(/^\{/, LIMIT_MS);
        const { before, after } = JSON.parse(line) as { before: Usage; after: Usage };
        expect(after.rings).toBe(before.rings);
        expect(after.descriptors).toBeLessThanOrEqual(before.descriptors + 2);
        expect(after.mib).toBeLessThan(before.mib + 64);
        expect(await changes.ended).toBe(0);
      },
      LIMIT_MS,
    );
  });

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

import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { built } from '../support/project.ts';

/** The user and the ambient capabilities of the packaged director. */
const AS_USER = [
  ...['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', '--no-new-privs'],
  ...['--inh-caps', '-all,+net_admin,+net_raw', '--ambient-caps', '-all,+net_admin,+net_raw'],
];
const why =
  process.getuid?.() === 0 && spawnSync('setpriv', ['--version']).status === 0
    ? undefined
    : 'setpriv and root are required';

test('setpriv and root are available', ({ skip }) => skip(why !== undefined, why));

test.skipIf(why !== undefined)('a program has none of the capabilities that the director keeps', () => {
  const [file, ...words] = [...AS_USER, ...built('test/support/run-as-user'), 'cat', '/proc/self/status'];
  const { stdout, stderr } = spawnSync(file!, words, { encoding: 'utf8', cwd: '/' });
  const capabilities = (name: string) =>
    [...stdout.matchAll(new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'gm'))].map(([, hex]) => Number(`0x${hex}`));
  const NET_ADMIN_AND_RAW = (1 << 12) | (1 << 13);
  expect(stderr).toBe('');
  // The program, then the director.
  expect(capabilities('CapAmb')).toEqual([0, NET_ADMIN_AND_RAW]);
  expect(capabilities('CapEff')).toEqual([0, NET_ADMIN_AND_RAW]);
});

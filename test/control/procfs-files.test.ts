import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ProcfsFolder } from '../../src/control/procfs-files.ts';
import { LvsError } from '../../src/model/errors.ts';
import { connection, directorApi, TemporaryFolder } from '../support/director-apis.ts';

test('the files of /proc/net exist, are complete, and are re-created each time', async () => {
  using folder = new TemporaryFolder();
  const api = directorApi();
  const text = (name: string) => readFileSync(join(folder.path, 'net', name), 'utf8');
  const files = new ProcfsFolder(folder.path, api);
  await files.writeServices();
  expect(text('ip_vs').split('\n')).toHaveLength(4);
  const service = { protocol: 'tcp', address: '192.0.2.10', port: 443 } as const;
  const destination = { address: '2001:db8::5', port: 443 };
  await api.apply([
    { op: 'add-service', service, options: { scheduler: 'wlc', persistent: 60, persistencePrefix: 24 } },
    { op: 'add-destination', service, destination, options: { method: 'tunnel', weight: 3 } },
  ]);
  const later = new ProcfsFolder(folder.path, {
    ...api,
    async *connections() {
      yield [connection(1), { ...connection(2), template: true, engine: 'sip', engineData: 'abc@host' }];
    },
  });
  await later.writeServices();
  await later.writeConnections();
  expect(text('ip_vs')).toContain('TCP  C000020A:01BB wlc  persistent 6000 FFFFFF00\n');
  expect(text('ip_vs')).toContain(
    '  -> [2001:0db8:0000:0000:0000:0000:0000:0005]:01BB      Tunnel  3      0          0         \n',
  );
  expect(text('ip_vs_conn').split('\n').slice(1, 3)).toEqual([
    'TCP 0A000001 0401 0A090001 0050 0A01000B 1F90 ESTABLISHED     897',
    'TCP 0A000002 0402 0A090001 0050 0A01000B 1F90 ESTABLISHED     897 sip abc@host',
  ]);
  expect(text('ip_vs_stats').split('\n')[2]).toBe(
    '       0        0        0                0                0',
  );
  expect(readdirSync(join(folder.path, 'net')).sort()).toEqual([
    'ip_vs',
    'ip_vs_app',
    'ip_vs_conn',
    'ip_vs_conn_sync',
    'ip_vs_stats',
    'ip_vs_stats_percpu',
  ]);
  later.remove();
  expect(readdirSync(join(folder.path, 'net'))).toEqual([]);
});

test('a directory that other users can write to is refused', () => {
  using folder = new TemporaryFolder();
  mkdirSync(folder.file('net'));
  chmodSync(folder.file('net'), 0o777);
  expect(() => new ProcfsFolder(folder.path, directorApi())).toThrow('chmod go-w');
  expect(readdirSync(folder.file('net'))).toEqual([]);
});

test.skipIf(process.getuid?.() !== 0)('a directory of another user is refused, with the remedy', () => {
  using folder = new TemporaryFolder();
  mkdirSync(folder.file('net'), { mode: 0o755 });
  chownSync(folder.file('net'), 65_534, 65_534);
  expect(() => new ProcfsFolder(folder.path, directorApi())).toThrow(/expected root or this user .*chown/);
});

test('a directory that cannot be created is reported', () => {
  using folder = new TemporaryFolder();
  writeFileSync(folder.file('net'), '');
  expect(() => new ProcfsFolder(folder.path, directorApi())).toThrow(LvsError);
});

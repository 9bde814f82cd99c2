/** The commands of docs/cluster.md make users, roles and certificates with which a real etcd lets each do its part. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { copiedConfiguration, etcdFindings } from '../../src/cli/realserver/etcd-findings.ts';
import { EtcdError } from '../../src/etcd/etcd-error.ts';
import { openClusterAccess } from '../../src/runtime/cluster/cluster-access.ts';
import { ClusterCopy } from '../../src/runtime/cluster/cluster-copy.ts';
import { lacking } from '../support/debian.ts';
import { EtcdCluster, etcdMissing } from '../support/etcd-cluster.ts';
import { PROJECT } from '../support/project.ts';

const why = etcdMissing() ?? lacking('openssl');
test('etcd and openssl are installed', ({ skip }) => skip(why !== undefined, why));

/** Commands of the section, with the address of this host. */
const [certificates, users] = [
  ...readFileSync(join(PROJECT, 'docs/cluster.md'), 'utf8')
    .split('## Users, roles and certificates')[1]!
    .replaceAll('192.0.2.1', '127.0.0.1')
    .matchAll(/^```sh\n(.*?)^```$/gms),
].map(([, commands]) => commands!);

describe.skipIf(why !== undefined)('with authentication', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lvs-users-'));
  const file = (name: string) => join(folder, name);
  let etcd: EtcdCluster;
  const shell = (commands: string, more: NodeJS.ProcessEnv = {}) =>
    execFileSync('sh', ['-ec', commands], {
      cwd: folder,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ETCDCTL_API: '3', ...more },
    });
  /** Opens the cluster as a user. */
  const as = (user: string, password = user, more = 'tls: { ca: ca.pem, cert: d1.pem, key: d1.key }') => {
    writeFileSync(file(`${user}.secret`), `${password}\n`, { mode: 0o600 });
    const settings = `cluster: web\nnode: d1\nendpoints: [${etcd.endpoints}]\nuser: ${user}\npassword-file: ${user}.secret\n${more}\n`;
    writeFileSync(file(`${user}.yaml`), settings);
    return openClusterAccess(file(`${user}.yaml`));
  };
  const failure = (promise: Promise<unknown>): Promise<string> =>
    promise.then(
      () => 'succeeded',
      (error: unknown) => (error instanceof EtcdError ? error.kind : String(error)),
    );

  beforeAll(async () => {
    shell(certificates!);
    etcd = await EtcdCluster.start({
      members: 1,
      tls: { ca: file('ca.pem'), cert: file('etcd1.pem'), key: file('etcd1.key') },
    });
    const tls = { ca: 'ca.pem', cert: 'd1.pem', key: 'd1.key' };
    await etcd.answers({
      tls: Object.fromEntries(
        Object.entries(tls).map(([key, name]) => [key, readFileSync(file(name), 'utf8')]),
      ),
    });
    for (const [name, password] of [
      ['d1', 'lvs-d1'],
      ['operator', 'operator'],
      ['server', 'lvs-server'],
      ['root', 'root'],
    ] as const)
      writeFileSync(file(`${name}.password`), `${password}\n`);
    shell(users!, {
      ETCDCTL_ENDPOINTS: etcd.endpoints.join(','),
      ETCDCTL_CACERT: file('ca.pem'),
      ETCDCTL_CERT: file('d1.pem'),
      ETCDCTL_KEY: file('d1.key'),
    });
  });
  afterAll(async () => {
    await etcd?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  test('an operator forms the cluster and changes its configuration; a director joins, reports, and changes none', async () => {
    using operator = await as('operator');
    using director = await as('lvs-d1');
    const { keys, client } = director.store;
    const token = await operator.store.init();
    expect(await failure(director.store.join('d1', token, 'x'))).toBe('succeeded');
    const lease = await client.grantLease(60);
    expect(await failure(client.put(keys.member('d1'), 'x', lease))).toBe('succeeded');
    expect(await failure(client.put(keys.rules, 'x'))).toBe('succeeded');
    expect(await failure(client.put(`${keys.log}x`, 'x', lease))).toBe('succeeded');
    expect(await failure(client.put(`${keys.answers('x')}d1`, 'x', lease))).toBe('succeeded');
    expect(await failure(client.revokeLease(lease))).toBe('succeeded');
    const change = { text: 'services: []\n', author: 'x', note: '', atMost: 0 };
    expect(await failure(director.store.apply(change))).toBe('not-permitted');
    expect(await failure(director.store.pause('d1', 'x'))).toBe('not-permitted');
    expect(await failure(operator.store.apply(change))).toBe('succeeded');
    expect((await director.store.generation(1))?.text).toBe('services: []\n');
  });

  test('a server registers itself, and neither reads nor changes anything else', async () => {
    using server = await as('lvs-server');
    const { keys, client } = server.store;
    const lease = await client.grantLease(60);
    const key = keys.server('s1');
    const create = client.txn([{ key, modRevision: 0 }], [{ put: key, value: 'x', lease }], [{ range: key }]);
    expect(await failure(create)).toBe('succeeded');
    expect(await client.keepAlive(lease)).toBeGreaterThan(0);
    expect(await failure(client.put(keys.member('d1'), 'x'))).toBe('not-permitted');
    expect(await failure(client.put(keys.rules, 'x'))).toBe('not-permitted');
    expect(await failure(client.put(keys.config, 'x'))).toBe('not-permitted');
    expect(await failure(server.store.view())).toBe('not-permitted');
    expect(await failure(client.revokeLease(lease))).toBe('succeeded');
    using director = await as('lvs-d1');
    expect(await failure(director.store.client.put(key, 'x'))).toBe('not-permitted');
  });

  test('a wrong token, a wrong password, an unknown authority and a client without a certificate are refused', async () => {
    using operator = await as('operator');
    expect(await failure(operator.store.join('d1', `${'0'.repeat(36)}.${'x'.repeat(32)}`, 'x'))).toContain(
      'invalid token',
    );
    using guess = await as('lvs-d1', 'guess');
    expect(await failure(guess.store.view())).toBe('not-permitted');
    using bare = await as('operator', 'operator', 'tls: { ca: ca.pem }');
    expect(await failure(bare.store.view())).toBe('unreachable');
    using unknown = await as('operator', 'operator', 'tls: { cert: d1.pem, key: d1.key }');
    expect(await failure(unknown.store.view())).toBe('unreachable');
  });

  test('a password file that others may read, and a certificate with a common name, are refused with the reason', async () => {
    writeFileSync(file('open.secret'), 'x\n', { mode: 0o644 });
    writeFileSync(
      file('open.yaml'),
      `cluster: web\nendpoints: [${etcd.endpoints}]\nuser: operator\npassword-file: open.secret\n`,
    );
    expect(await failure(openClusterAccess(file('open.yaml')))).toContain('mode 0644: expected 0600');
    const key =
      'openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout cn.key -out cn.csr';
    shell(
      `${key} -subj /O=d1/CN=d1 && openssl x509 -req -in cn.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out cn.pem`,
    );
    using named = await as('operator', 'operator', 'tls: { ca: ca.pem, cert: cn.pem, key: cn.key }');
    expect(await failure(named.store.view())).toBe('not-permitted');
    expect(await found('operator')).toEqual(['etcd-certificate', 'cluster-copy']);
    expect(await etcdFindings(file('open.yaml'), 'director')).toEqual([
      expect.objectContaining({ name: 'cluster-settings', remedy: `chmod 0600 ${file('open.secret')}` }),
    ]);
  });

  test('errors name the user, the reason and the remedy', async () => {
    const message = (promise: Promise<unknown>) => promise.then(() => '', String);
    const ca = 'ca: ca.pem';
    using director = await as('lvs-d1');
    expect(await message(director.store.pause('d1', 'x'))).toMatch(
      /permission denied: user lvs-d1 lacks a right \(give --file the settings of an operator, or/,
    );
    using guess = await as('lvs-d1', 'guess');
    expect(await message(guess.store.view())).toMatch(/: user lvs-d1 \(check user and password-file in/);
    using bare = await as('operator', 'operator', `tls: { ${ca} }`);
    expect(await message(bare.store.view())).toMatch(
      /: etcd refuses the certificate of this client \(tls.cert, tls.key: expected one by its --trusted-ca-file\)$/,
    );
    using unknown = await as('operator', 'operator', 'tls: { cert: d1.pem, key: d1.key }');
    expect(await message(unknown.store.view())).toMatch(
      /\(tls.ca: expected the authority of the certificate of etcd\)$/,
    );
  });

  const found = async (user: string, role: 'director' | 'server' = 'director') =>
    (await etcdFindings(file(`${user}.yaml`), role)).map(({ name }) => name);
  const tls = 'tls: { ca: ca.pem, cert: d1.pem, key: d1.key }';

  test('the doctor finds nothing where all is right, and else what keeps a director or a server from its cluster', async () => {
    using director = await as('lvs-d1', 'lvs-d1', `${tls}\nstate: state`);
    expect(await found('lvs-d1')).toEqual(['cluster-copy']);
    const meta = (await director.store.view()).meta!;
    const copy = new ClusterCopy(file('state'), 'web');
    copy.save({ id: meta.id, generation: 1 });
    expect(await found('lvs-d1')).toEqual([]);
    expect(await copiedConfiguration(file('lvs-d1.yaml'))).toBe(file('state/web/generation-1.yaml'));
    chmodSync(file('state/web'), 0o755);
    expect(await found('lvs-d1')).toEqual(['cluster-copy']);
    chmodSync(file('state/web'), 0o700);
    copy.save({ id: 'another' });
    expect(await found('lvs-d1')).toEqual(['cluster-member']);
    copy.save({ id: meta.id });
    using server = await as('lvs-server');
    expect(await found('lvs-server', 'server')).toEqual([]);
    expect(await found('lvs-server')).toEqual(['etcd-user', 'cluster-copy']);
    expect((await server.store.client.range(server.store.keys.server('d1'))).values).toEqual([]);
    using guess = await as('lvs-d1', 'guess', `${tls}\nstate: state`);
    expect(await failure(guess.store.view())).toBe('not-permitted');
    expect(await found('lvs-d1')).toEqual(['etcd-user']);
  });

  test('the doctor names each endpoint that does not answer, and a clock that differs', async () => {
    const other = createServer((_request, response) => {
      response.setHeader('date', new Date(Date.now() + 3_600_000).toUTCString());
      response.end('{}');
    });
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    // Port 1 has no listener.
    const endpoints = `[http://127.0.0.1:1, http://127.0.0.1:${port}]`;
    writeFileSync(file('plain.yaml'), `cluster: web\nnode: s1\nendpoints: ${endpoints}\n`);
    const findings = await etcdFindings(file('plain.yaml'), 'server');
    other.close();
    expect(findings.slice(0, 2)).toEqual([
      {
        name: 'etcd-unreachable',
        what: expect.stringContaining('etcd 127.0.0.1:1: '),
        remedy: expect.stringContaining('accept TCP port 1;'),
      },
      expect.objectContaining({
        name: 'cluster-clock',
        what: expect.stringMatching(
          /^the clock of 127\.0\.0\.1:\d+ is 3(599|600) s ahead of that of this host$/,
        ),
      }),
    ]);
  });
});

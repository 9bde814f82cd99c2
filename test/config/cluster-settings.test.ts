import { expect, test } from 'vitest';
import { parseClusterSettings } from '../../src/config/yaml/cluster-settings.ts';

const parse = (text: string) => parseClusterSettings(text, '/etc/lvs/cluster.yaml');
const rejected = (text: string): string => {
  try {
    parse(text);
    return 'accepted';
  } catch (error) {
    return (error as Error).message.split('\n')[0]!;
  }
};
const MINIMAL = 'cluster: web\nnode: d1\nendpoints: [http://127.0.0.1:2379]\n';

test('paths are relative to the folder of the file, and the state has a default', () => {
  expect(parse(MINIMAL)).toEqual({
    cluster: 'web',
    node: 'd1',
    endpoints: ['http://127.0.0.1:2379'],
    state: '/var/lib/lvs',
  });
  const full = parse(
    'cluster: web\nendpoints: [https://192.0.2.1:2379, "https://[2001:db8::1]:2379"]\nuser: d1\npassword-file: password\ntls: { ca: ca.pem, cert: /etc/ssl/d1.pem, key: d1.key }\nstate: /srv/lvs\n',
  );
  expect(full).toMatchObject({
    user: 'd1',
    passwordFile: '/etc/lvs/password',
    tls: { ca: '/etc/lvs/ca.pem', cert: '/etc/ssl/d1.pem', key: '/etc/lvs/d1.key' },
    state: '/srv/lvs',
  });
  expect(full.node).toMatch(/^[A-Za-z0-9_-]+$/);
});

test('each mistake is reported with its place', () => {
  expect(rejected('cluster: web\n')).toMatch(/cluster\.yaml:1:1: error: .*endpoints/);
  expect(rejected(`${MINIMAL}endpoint: x\n`)).toMatch(/:4:1: error: .*endpoint/);
  expect(rejected(MINIMAL.replace('web', '../other'))).toMatch(/:1:10: error: /);
  expect(rejected(MINIMAL.replace('http:', 'ftp:'))).toMatch(/:3:13: error: /);
  expect(rejected(MINIMAL.replace('2379', '99999'))).toMatch(/:3:1: error: invalid URL/);
  expect(rejected(`${MINIMAL}user: d1\n`)).toMatch(/:4:1: error: password-file is missing/);
  expect(rejected(`${MINIMAL}password-file: p\n`)).toMatch(/:4:1: error: user is missing/);
  expect(rejected(`${MINIMAL}tls: { ca: ca.pem }\n`)).toMatch(/:4:1: error: an endpoint is not https/);
  expect(rejected(`${MINIMAL}tls: { cert: c.pem }\n`)).toMatch(/:4:1: error: a certificate and its key/);
  expect(rejected('cluster: [\n')).toMatch(/error: /);
  expect(rejected('cluster: web\ncluster: b\n')).toMatch(/:2:1: error: /);
});

import { expect, test } from 'vitest';
import { EtcdError } from '../../../src/etcd/etcd-error.ts';
import { EtcdHealth } from '../../../src/runtime/cluster/etcd-health.ts';

test('etcd that refuses some requests is well, and they are counted', () => {
  const health = new EtcdHealth();
  health.refused(new EtcdError('not-permitted', 'etcd: permission denied'));
  expect(health.failing).toBeUndefined();
  health.refused(new EtcdError('timeout', 'etcd: no answer'));
  expect(health.failing?.error.kind).toBe('timeout');
  expect(health.errors).toEqual({ 'not-permitted': 1, timeout: 1 });
  health.failed(undefined);
  expect(health.failing).toBeUndefined();
});

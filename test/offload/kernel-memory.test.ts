import { expect, test } from 'vitest';
import type { Bpf } from '../../src/ebpf/bpf.ts';
import { KernelMemory } from '../../src/offload/kernel-memory.ts';

test('a table that programs cannot reach to its end is refused with the remedy', () => {
  const untouched = new Proxy({} as Bpf, { get: () => expect.fail('a map was made') });
  const memory = new KernelMemory(untouched);
  expect(() => memory.reserve('rows', 2 ** 29)).toThrow(/array rows of 536870912 bytes.*--connections/);
});

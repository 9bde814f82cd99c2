import { expect, test } from 'vitest';
import { missingCapabilities, missingKernelPathCapabilities } from '../../../src/runtime/host/privileges.ts';

test.each([
  ['000001ffffffffff', []],
  ['0000000000003000', []],
  ['0000000000001000', ['CAP_NET_RAW']],
  ['0000000000002000', ['CAP_NET_ADMIN']],
  ['0000000000000000', ['CAP_NET_ADMIN', 'CAP_NET_RAW']],
])('with the capabilities %s, %j are missing', (mask, missing) => {
  expect(missingCapabilities(`Name:\tnode\nCapInh:\tffff\nCapEff:\t${mask}\nCapBnd:\tffff\n`)).toEqual(
    missing,
  );
});

test.each([
  ['000001ffffffffff', []],
  ['000000c000003000', []],
  ['0000000000200000', []],
  ['0000008000003000', ['CAP_PERFMON']],
  ['0000000000003000', ['CAP_PERFMON', 'CAP_BPF']],
])('with the capabilities %s, %j are missing for the kernel path', (mask, missing) => {
  expect(missingKernelPathCapabilities(`CapEff:\t${mask}\n`)).toEqual(missing);
});

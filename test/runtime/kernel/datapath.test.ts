import { expect, test } from 'vitest';
import { choose, describe as lines, type Probed, probe } from '../../../src/runtime/kernel/datapath.ts';

const yes = { name: 'maps', missing: undefined };
const no = { name: 'tcx (Linux 6.6)', missing: 'bpf(LINK_CREATE): EINVAL, invalid argument' };
const restarts = [{ name: 'restarts keep connections (live)', missing: 'no tmpfs' }];
const modern: Probed = { tc: [yes], xdp: [yes], other: [], restarts };
const clsact = { name: 'tc filters (clsact, Linux 4.5)', missing: undefined };
/** Linux 6.1. */
const older: Probed = { tc: [yes, clsact], xdp: [yes], other: [no], restarts };
const tap = { name: 'tap devices', missing: 'open(/dev/net/tun): ENOENT, no such file (modprobe tun)' };
const withoutTap: Probed = { tc: [yes, tap], xdp: [yes, tap], other: [], restarts };

test.each([
  ['auto', modern, 'tc', 'all required features are available'],
  ['auto', older, 'tc', 'all required features are available'],
  ['auto', withoutTap, 'live', `not tc: tap devices: ${tap.missing}`],
  ['live', modern, 'live', 'selected by --datapath'],
  ['xdp', older, 'xdp', 'selected by --datapath'],
  ['tc', modern, 'tc', 'selected by --datapath'],
] as const)('%s', (wanted, probed, datapath, reason) => {
  expect(choose(wanted, probed)).toEqual({ datapath, reason });
});

test('an unavailable datapath that was requested by name is refused, with the reason', () => {
  expect(() => choose('tc', withoutTap)).toThrowError(`--datapath tc: tap devices: ${tap.missing}`);
});

test('the table of probes contains each datapath once, and ends with the selected one', () => {
  expect(lines(older)).toEqual([
    'maps                              yes',
    'tc filters (clsact, Linux 4.5)    yes',
    'tcx (Linux 6.6)                   no: bpf(LINK_CREATE): EINVAL, invalid argument',
    'restarts keep connections (live)  no: no tmpfs',
    '--datapath auto is tc: all required features are available',
  ]);
});

test('this kernel can be probed', async () => {
  const probed = await probe();
  expect(lines(probed).at(-1)).toMatch(/^--datapath auto is (tc|live): ./);
});

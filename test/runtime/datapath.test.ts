import { expect, test } from 'vitest';
import { choose, describe as lines, type Probed, probe } from '../../src/runtime/datapath.ts';

const yes = { name: 'maps', missing: undefined };
const no = { name: 'tcx (Linux 6.6)', missing: 'bpf(LINK_CREATE): EINVAL, invalid argument' };
const modern: Probed = { tc: [yes], xdp: [yes], other: [] };
const clsact = { name: 'tc filters (clsact, Linux 4.5)', missing: undefined };
/** Linux 6.1. */
const older: Probed = { tc: [yes, clsact], xdp: [yes], other: [no] };
const tap = { name: 'tap devices', missing: 'open(/dev/net/tun): ENOENT, no such file (modprobe tun)' };
const withoutTap: Probed = { tc: [yes, tap], xdp: [yes, tap], other: [] };

test.each([
  ['auto', modern, false, 'tc', 'all that it needs is there'],
  ['auto', older, false, 'tc', 'all that it needs is there'],
  ['auto', withoutTap, false, 'live', `not tc: tap devices: ${tap.missing}`],
  ['auto', modern, true, 'live', /^not tc: there are rules that give packets a firewall mark/],
  ['live', modern, false, 'live', 'asked for'],
  ['xdp', older, false, 'xdp', 'asked for'],
  ['tc', modern, false, 'tc', 'asked for'],
] as const)('%s', (wanted, probed, marked, datapath, why) => {
  expect(choose(wanted, probed, marked)).toEqual({
    datapath,
    why: typeof why === 'string' ? why : expect.stringMatching(why),
  });
});

test('an unavailable datapath that was requested by name is refused, with the reason', () => {
  expect(() => choose('tc', withoutTap, false)).toThrowError(`--datapath tc: tap devices: ${tap.missing}`);
  expect(() => choose('xdp', modern, true)).toThrowError('--datapath xdp: there are rules that give');
});

test('the table of probes contains each datapath once, and ends with the selected one', () => {
  expect(lines(older)).toEqual([
    'maps                            yes',
    'tc filters (clsact, Linux 4.5)  yes',
    'tcx (Linux 6.6)                 no: bpf(LINK_CREATE): EINVAL, invalid argument',
    '--datapath auto is tc: all that it needs is there',
  ]);
});

test('this kernel can be probed', async () => {
  const probed = await probe();
  expect(lines(probed).at(-1)).toMatch(/^--datapath auto is (tc|live): ./);
});

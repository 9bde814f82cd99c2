import { expect, test } from 'vitest';
import { choose, describe as lines, type Probed, probe } from '../../src/runtime/datapath.ts';

const yes = { name: 'maps', missing: undefined };
const no = { name: 'tcx (Linux 6.6)', missing: 'bpf(LINK_CREATE): EINVAL, invalid argument' };
const modern: Probed = { tc: [yes], xdp: [yes], other: [] };
const older: Probed = { tc: [yes, no], xdp: [yes], other: [no] };

test.each([
  ['auto', modern, false, 'tc', 'all that it needs is there'],
  ['auto', older, false, 'live', 'not tc: tcx (Linux 6.6): bpf(LINK_CREATE): EINVAL, invalid argument'],
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

test('what is asked for by name and not to be had is refused, with the reason', () => {
  expect(() => choose('tc', older, false)).toThrowError(
    '--datapath tc: tcx (Linux 6.6): bpf(LINK_CREATE): EINVAL',
  );
  expect(() => choose('xdp', modern, true)).toThrowError('--datapath xdp: there are rules that give');
});

test('the table of probes has each of them once, and ends with the choice', () => {
  expect(lines(older)).toEqual([
    'maps             yes',
    'tcx (Linux 6.6)  no: bpf(LINK_CREATE): EINVAL, invalid argument',
    '--datapath auto is live: not tc: tcx (Linux 6.6): bpf(LINK_CREATE): EINVAL, invalid argument',
  ]);
});

test('this kernel is probed, whatever it is', async () => {
  const probed = await probe();
  expect(lines(probed).at(-1)).toMatch(/^--datapath auto is (tc|live): ./);
});

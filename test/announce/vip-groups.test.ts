import { expect, test } from 'vitest';
import { VipGroups } from '../../src/announce/vip-groups.ts';

const VIPS = ['192.0.2.9', '192.0.2.1', '2001:db8::1'];
const NAMED = { name: 'a', vips: ['192.0.2.1', '2001:db8::1'], active: 1 };
const made = (groups: Parameters<VipGroups['set']>[0], vips = VIPS) => {
  const all = new VipGroups();
  all.set(groups, new Map(vips.map((vip) => [vip, true])));
  return all;
};

test('a VIP belongs to the group that names it, or to the one that names none', () => {
  const all = made([NAMED, { name: 'rest', active: 2 }]);
  expect(VIPS.map((vip) => all.of(vip))).toEqual(['rest', 'a', 'a']);
  expect(all.vips('a')).toEqual(['192.0.2.1', '2001:db8::1']);
  expect(all.vips('rest')).toEqual(['192.0.2.9']);
  expect(made([NAMED]).of('192.0.2.9')).toBeUndefined();
  expect(made(undefined).of('192.0.2.9')).toBeUndefined();
});

test('the ID of a group changes with its VIPs, and not with their order or the other groups', () => {
  const id = made([NAMED, { name: 'rest', active: 2 }]).id('a');
  expect(made([NAMED], [...VIPS].reverse()).id('a')).toBe(id);
  expect(made([NAMED], ['192.0.2.1']).id('a')).not.toBe(id);
  expect(made([{ name: 'a', active: 1 }]).id('a')).not.toBe(id);
  expect(made([NAMED], ['192.0.2.9']).id('a')).toBe('');
  const changed = made([NAMED]);
  changed.set(changed.configured, new Map([['192.0.2.1', false]]));
  expect(changed.id('a')).toBe(made([NAMED], ['192.0.2.1']).id('a'));
});

import { expect, test } from 'vitest';
import { groupFinder } from '../../src/announce/vip-groups.ts';

test('a VIP belongs to the group that names it, or to the one that names none', () => {
  const named = { name: 'a', vips: ['192.0.2.1', '2001:db8::1'], active: 1 };
  const all = groupFinder([named, { name: 'rest', active: 2 }]);
  expect(['192.0.2.1', '2001:db8::1', '192.0.2.9'].map(all)).toEqual(['a', 'a', 'rest']);
  expect(groupFinder([named])('192.0.2.9')).toBeUndefined();
});

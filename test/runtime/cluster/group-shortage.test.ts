import { expect, test } from 'vitest';
import { GroupShortage } from '../../../src/runtime/cluster/group-shortage.ts';
import { Conditions } from '../../../src/runtime/conditions.ts';

const group = (holders: readonly string[]) => [{ name: 'web', wanted: 2, holders }];

test('a group that lacks a director for a while is a condition, with the reason', () => {
  const conditions = new Conditions(() => {});
  const shortage = new GroupShortage();
  const at = (now: number, ...groups: Parameters<GroupShortage['report']>[0][]) => {
    shortage.report(groups[0], conditions, now);
    return conditions.all.map(({ text }) => text);
  };
  expect(at(0, group(['d1']))).toEqual([]);
  expect(at(2999, group(['d1']))).toEqual([]);
  expect(at(3000, group(['d1']))).toEqual(['group web: 1 of 2 directors announce its VIPs (d1)']);
  shortage.failed(new Error('etcd: permission denied'));
  expect(at(3001, group([]))).toEqual([
    'group web: 0 of 2 directors announce its VIPs: no place can be claimed: etcd: permission denied',
  ]);
  // Nothing is known without etcd.
  expect(at(3002, undefined)).toEqual([]);
  expect(at(3003, group(['d1']))).toEqual([]);
  expect(at(9000, group(['d1', 'd2']))).toEqual([]);
});

import { expect, test } from 'vitest';
import { VipStates } from '../../src/announce/vip-states.ts';

const VIP = '192.0.2.1';

test('a VIP is announced when it has been ready for a while, and withdrawn at once', () => {
  const states = new VipStates();
  const at = (now: number, ready: boolean | 'unchanged') =>
    states.update(new Map([[VIP, ready]]), 2000, now).get(VIP);
  expect(at(0, true)).toBe(false);
  expect(at(1999, true)).toBe(false);
  expect(at(2000, true)).toBe(true);
  expect(at(2001, false)).toBe(false);
  // The time begins again.
  expect(at(3000, true)).toBe(false);
  expect(at(3500, false)).toBe(false);
  expect(at(4000, true)).toBe(false);
  expect(at(5999, true)).toBe(false);
  expect(at(6000, true)).toBe(true);
  expect(at(6001, 'unchanged')).toBe(true);
  expect(at(6002, false)).toBe(false);
  expect(at(6003, 'unchanged')).toBe(false);
});

test('what a former director has left announced stays so while it is ready', () => {
  const states = new VipStates([VIP]);
  expect(states.update(new Map([[VIP, true]]), 2000, 0).get(VIP)).toBe(true);
  expect(states.update(new Map(), 2000, 1).has(VIP)).toBe(false);
  expect(states.update(new Map([[VIP, true]]), 2000, 2).get(VIP)).toBe(false);
});

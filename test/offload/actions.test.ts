/** Equal actions are shared by flows, and written only when no program can be reading them. */
import { expect, test } from 'vitest';
import { type Action, ActionTable } from '../../src/offload/actions.ts';
import { ACTION } from '../../src/offload/layout.ts';
import { LEFT } from './datapaths.ts';

const CAPACITY = 4;
const table = () => {
  const buffer = new ArrayBuffer(CAPACITY * ACTION);
  const memory = { address: 0, bytes: new Uint8Array(buffer), view: new DataView(buffer) };
  return new ActionTable(memory, CAPACITY);
};
const route = (interfaceIndex: number): Action => ({
  kind: 'route',
  hop: { ...LEFT, interfaceIndex, vlan: 0, mtu: 1500 },
});

test('equal actions have the same number, however they were built', () => {
  const actions = table();
  const first = route(1);
  const number = actions.hold(first);
  expect(actions.hold(route(1))).toBe(number);
  expect(actions.hold(route(2))).not.toBe(number);
  expect(actions.size).toBe(2);
});

test('an action can be acquired again by its number, and is released as often as it was acquired', () => {
  const actions = table();
  const action = route(1);
  const number = actions.hold(action);
  expect(actions.holdAgain(number, action)).toBe(true);
  expect(actions.release(number)).toBe(false);
  expect(actions.release(number)).toBe(true);
  expect(actions.takeRetired()).toEqual([number]);
});

test('a number whose action was freed or replaced is not acquired', () => {
  const actions = table();
  const action = route(1);
  const number = actions.hold(action);
  actions.release(number);
  expect(actions.holdAgain(number, action)).toBe(false);
  actions.free(actions.takeRetired());
  const other = route(2);
  expect(actions.hold(other)).toBe(number);
  expect(actions.holdAgain(number, action)).toBe(false);
  actions.withdraw(number);
  expect(actions.holdAgain(number, other)).toBe(false);
  expect(actions.hold(other)).not.toBe(number);
});

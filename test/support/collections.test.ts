import { expect, test } from 'vitest';
import { collectionsDuring } from './collections.ts';

let kept: object | undefined;
const total = new Float64Array(1);

test('the check detects one small object per call', async () => {
  const allocate = () => {
    for (let i = 0; i < 2e6; i++) kept = { i };
  };
  allocate();
  expect(await collectionsDuring(allocate)).toBeGreaterThan(0);
  expect(kept).toBeDefined();
});

test('adding numbers in a typed array allocates no garbage', async () => {
  const add = () => {
    for (let i = 0; i < 2e6; i++) total[0]! += i;
  };
  add();
  expect(await collectionsDuring(add)).toBe(0);
});

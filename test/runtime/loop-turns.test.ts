import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { LoopTurns } from '../../src/runtime/loop-turns.ts';

test('the longest turn of the last minute is reported, and forgotten then', async () => {
  let work = 0;
  let now = 0;
  using turns = new LoopTurns(
    () => work,
    () => now,
  );
  for (const ms of [3, 70, 5]) {
    work += ms;
    await nextTurn();
    await nextTurn();
  }
  expect(turns.longest).toBe(0.07);
  now = 55_000;
  expect(turns.longest).toBe(0.07);
  now = 71_000;
  expect(turns.longest).toBe(0);
});

test('work of this process is found by the default clock, waiting is not', async () => {
  using turns = new LoopTurns();
  await new Promise((resolve) => setTimeout(resolve, 200));
  await nextTurn();
  turns.reset();
  const end = performance.now() + 50;
  while (performance.now() < end);
  await nextTurn();
  await nextTurn();
  expect(turns.longest).toBeGreaterThanOrEqual(0.04);
});

test('it does not keep the process alive, nor the loop from waiting', async () => {
  let turnsSeen = 0;
  using _turns = new LoopTurns(() => {
    turnsSeen++;
    return 0;
  });
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(turnsSeen).toBeLessThan(1000);
});

/** Places are shared by weight, and move only with the host that changed. */
import { expect, test } from 'vitest';
import { PLACES, rendezvous } from '../../src/nlb/places.ts';

const hosts = (...weights: number[]) => weights.map((weight, i) => ({ id: i + 1, weight }));
const countOf = (owners: Uint8Array, id: number) =>
  owners.reduce((sum, owner) => sum + (owner === id ? 1 : 0), 0);

test.each([[[50, 50, 50]], [[10, 20, 70]], [[1, 99]], [[50, 50, 50, 50, 50, 50, 50, 50]]])(
  'hosts own shares that fit the weights %j',
  (weights) => {
    const owners = rendezvous(hosts(...weights));
    const sum = weights.reduce((a, b) => a + b);
    for (const [i, weight] of weights.entries()) {
      const share = countOf(owners, i + 1) / PLACES;
      expect(Math.abs(share / (weight / sum) - 1)).toBeLessThan(0.1);
    }
  },
);

test('the places of a host that leaves are the only ones that move', () => {
  const before = rendezvous(hosts(50, 30, 20));
  const after = rendezvous(hosts(50, 0, 20));
  expect(before.filter((owner, i) => owner !== 2 && after[i] !== owner)).toHaveLength(0);
  expect(countOf(after, 2)).toBe(0);
});

test('a greater weight moves places to its host only', () => {
  const before = rendezvous(hosts(50, 30, 20));
  const after = rendezvous(hosts(50, 60, 20));
  expect(before.filter((owner, i) => after[i] !== owner && after[i] !== 2)).toHaveLength(0);
});

test('no host owns anything without weights', () => {
  expect(countOf(rendezvous(hosts(0, 0)), 0)).toBe(PLACES);
});

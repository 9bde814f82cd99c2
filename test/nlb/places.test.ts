/** Places are shared by weight, and move only with the host that changed. */
import { expect, test } from 'vitest';
import { placeOf } from '../../src/nlb/client-hash.ts';
import { PLACES, rendezvous } from '../../src/nlb/places.ts';
import { parseAddress } from '../../src/wire/address.ts';
import { randomOf } from './segment.ts';

const WEIGHTS = [10, 20, 30, 40, 50, 60, 70, 80];
const hosts = (...weights: number[]) => weights.map((weight, i) => ({ id: i + 1, weight }));
const countOf = (owners: Uint8Array, id: number) =>
  owners.reduce((sum, owner) => sum + (owner === id ? 1 : 0), 0);

test.each([[[50, 50, 50]], [[10, 20, 70]], [[1, 99]], [[50, 50, 50, 50, 50, 50, 50, 50]], [WEIGHTS]])(
  'hosts own shares that fit the weights %j',
  (weights) => {
    const owners = rendezvous(hosts(...weights)).owners;
    const sum = weights.reduce((a, b) => a + b);
    for (const [i, weight] of weights.entries()) {
      const share = countOf(owners, i + 1) / PLACES;
      expect(Math.abs(share / (weight / sum) - 1)).toBeLessThan(0.03);
    }
  },
);

test('the places of a host that leaves are the only ones that move', () => {
  const before = rendezvous(hosts(50, 30, 20)).owners;
  const after = rendezvous(hosts(50, 0, 20)).owners;
  expect(before.filter((owner, i) => owner !== 2 && after[i] !== owner)).toHaveLength(0);
  expect(countOf(after, 2)).toBe(0);
});

test('a greater weight moves places to its host only', () => {
  const before = rendezvous(hosts(50, 30, 20)).owners;
  const after = rendezvous(hosts(50, 60, 20)).owners;
  expect(before.filter((owner, i) => after[i] !== owner && after[i] !== 2)).toHaveLength(0);
});

test('no host owns anything without weights', () => {
  expect(countOf(rendezvous(hosts(0, 0)).owners, 0)).toBe(PLACES);
});

test('what follows from an earlier result is what is computed without it', () => {
  const random = randomOf(1);
  const weigh = () => hosts(...Array.from({ length: 4 }, () => 10 * Math.floor(random() * 4)));
  let last = rendezvous(weigh());
  for (let i = 0; i < 50; i++) {
    const next = weigh();
    last = rendezvous(next, last);
    expect(Buffer.from(last.owners).equals(rendezvous(next).owners)).toBe(true);
  }
});

/** The greatest difference of a host's number of 10,000 clients from what its places let expect, in standard deviations. */
function farthest(owners: Uint8Array, weights: readonly number[], addresses: () => string): number {
  const flows = 10_000;
  const counts = new Uint32Array(256);
  for (let i = 0; i < flows; i++)
    counts[owners[placeOf('single', parseAddress(addresses())!, 0, 0x1234_5678)]!]!++;
  return Math.max(
    ...weights.map((_, i) => {
      const share = countOf(owners, i + 1) / PLACES;
      return Math.abs(counts[i + 1]! - flows * share) / Math.sqrt(flows * share * (1 - share));
    }),
  );
}

test.each([[[50, 50, 50]], [[50, 50, 25]], [[50, 50, 50, 50, 50, 50, 50, 50]], [WEIGHTS]])(
  '10,000 clients are as independent samples of the places of the weights %j',
  (weights) => {
    const { owners } = rendezvous(hosts(...weights));
    const random = randomOf(7);
    const byte = () => Math.floor(random() * 256);
    expect(farthest(owners, weights, () => `203.${byte()}.${byte()}.${byte()}`)).toBeLessThan(5);
    let next = 0;
    expect(farthest(owners, weights, () => `10.0.${next >> 8}.${next++ & 255}`)).toBeLessThan(5);
    next = 0;
    expect(farthest(owners, weights, () => `fd00::${(next++).toString(16)}`)).toBeLessThan(5);
  },
);

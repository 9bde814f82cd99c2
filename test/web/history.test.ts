import { expect, test } from 'vitest';
import type { Snapshot } from '../../src/model/snapshot.ts';
import { Events } from '../../src/web/events.ts';
import { duration, percent, short } from '../../src/web/figures.ts';
import { History, SAMPLES } from '../../src/web/history.ts';
import { ObservedDirector, WEB } from '../support/observed.ts';

test.each([
  [0, '0'],
  [999, '999'],
  [1000, '1.00 k'],
  [12_340, '12.3 k'],
  [999_600, '1.00 M'],
  [5e9, '5.00 G'],
  [3e15, '3000 T'],
])('a number %d is %s', (value, text) => expect(short(value)).toBe(text));

test.each([
  [0.4, '0 s'],
  [59, '59 s'],
  [60, '1 min'],
  [3700, '1 h 1 min'],
  [90_000, '1 d 1 h'],
])('a time of %d seconds is %s', (value, text) => expect(duration(value)).toBe(text));

test('shares are computed from counters', () =>
  expect([percent(0), percent(0.042), percent(1)]).toEqual(['0 %', '4.2 %', '100 %']));

const record = (history: History, { rates, services }: Snapshot) => history.record(rates, services);

test('the history covers two minutes, and forgets removed services', async () => {
  const observed = new ObservedDirector().serve(WEB, { '10.0.0.1': 1 });
  const history = new History();
  for (let i = 0; i < 2 * SAMPLES; i++) await record(history, observed.snapshot());
  expect(history.total.in).toHaveLength(SAMPLES);
  expect(history.service('tcp 192.0.2.1:80').out).toHaveLength(SAMPLES);
  await record(history, { ...observed.snapshot(), services: [] });
  expect(history.service('tcp 192.0.2.1:80').out).toEqual([]);
});

test('the increase of a destination continues when counters are zeroed', async () => {
  const observed = new ObservedDirector().serve(WEB, { '10.0.0.1': 1 });
  const history = new History();
  const at = (connections: number) => {
    const snapshot = observed.snapshot();
    const [service] = snapshot.services;
    const [one] = service!.destinations;
    return {
      ...snapshot,
      services: [{ ...service!, destinations: [{ ...one!, stats: { ...one!.stats, connections } }] }],
    };
  };
  const gained: number[] = [];
  for (const connections of [50, 60, 0, 5]) {
    await record(history, at(connections));
    gained.push(history.gained('tcp 192.0.2.1:80 -> 10.0.0.1:80'));
  }
  expect(gained).toEqual([0, 10, 10, 15]);
});

test('the last events are kept, numbered, with bounded fields', () => {
  const events = new Events();
  const received: number[] = [];
  const stop = events.listen(({ id }) => received.push(id));
  for (let i = 0; i < 250; i++) events.add(new Date(0), 'info', 'x', { why: 'y'.repeat(10_000) });
  stop();
  events.add(new Date(0), 'info', 'x', {});
  expect(received).toHaveLength(250);
  expect(events.latest).toHaveLength(200);
  expect(events.since(249).map(({ id }) => id)).toEqual([250, 251]);
  expect(events.since(251)).toEqual([]);
  // A greater number is from an earlier run of the director.
  expect(events.since(1000)).toEqual(events.latest);
  expect(events.latest[0]!.fields['why']).toHaveLength(500);
});

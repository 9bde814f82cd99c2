import { expect, test } from 'vitest';
import { CapacityWatch } from '../../src/runtime/capacity-watch.ts';
import type { Conditions } from '../../src/runtime/conditions.ts';
import { Directed, VIP } from '../support/directed.ts';

const NO_LOSSES = {
  captureDrops: 0,
  firstCaptureDrops: 0,
  ringDrops: 0,
  firstRingDrops: 0,
  truncated: 0,
  sendFailures: {},
};
const losses = () => NO_LOSSES;

test('a table that was full since the last check is reported, although an embryonic connection made room', () => {
  const it = new Directed({ maxConnections: 64 }).serve(`tcp ${VIP}:80`, ['10.0.0.1:80']);
  const reports: (readonly string[])[] = [];
  const conditions = {
    set: (_name: string, entries: ReadonlyMap<string, { readonly text: string }>) =>
      reports.push([...entries.values()].map(({ text }) => text)),
  } as unknown as Conditions;
  const { director } = it;
  const watch = new CapacityWatch({ director, io: { losses } as never, conditions, log: () => {} });
  watch.check();
  for (let port = 1000; port < 1200; port++) it.receive(`203.0.113.7:${port} > ${VIP}:80 TCP SYN`);
  expect(director.context.table.size).toBeLessThan(64);
  watch.check();
  // Half of the table becomes free.
  it.wait(100);
  watch.check();
  expect(reports).toEqual([[], ['the connection table is full: 64 entries (see --connections)'], []]);
});

test('lost packets are reported by where they were lost, once', () => {
  const { director } = new Directed();
  const events: unknown[] = [];
  let counts = NO_LOSSES;
  const watch = new CapacityWatch({
    director,
    io: { losses: () => counts },
    conditions: { set: () => {} } as unknown as Conditions,
    log: (_level, event, fields) => events.push([event, fields]),
  });
  watch.check();
  expect(events).toEqual([]);
  counts = { ...NO_LOSSES, firstCaptureDrops: 9 };
  watch.check();
  watch.check();
  const { sendFailures: _, ...places } = counts;
  expect(events).toEqual([['packets-lost', places]]);
});

import { expect, test } from 'vitest';
import { MAX_ANNOUNCED } from '../../../src/cluster/records.ts';
import type { AnnouncementListing } from '../../../src/model/announcement.ts';
import { ClusterReport } from '../../../src/runtime/cluster/cluster-report.ts';

const LOAD = { connections: 12_345, newConnections: 4, inOctets: 98_765_432.1 };
const always = () => true;
const of = (vips: AnnouncementListing['vips']) =>
  new ClusterReport({
    announcements: () => ({ isWithdrawn: false, vips }),
    load: () => LOAD,
    canAnnounce: always,
  }).at(0).announced;

test('a director reports the VIPs that BIRD has, or those that it wants where it does not talk to BIRD', () => {
  const vip = { isReady: true, isWanted: true };
  expect(
    of([
      { ...vip, vip: '192.0.2.1', isAnnounced: true },
      { ...vip, vip: '192.0.2.2', isAnnounced: false },
    ]),
  ).toEqual({ count: 1, vips: ['192.0.2.1'] });
  expect(
    of([
      { ...vip, vip: '192.0.2.1' },
      { ...vip, vip: '192.0.2.2', isWanted: false },
    ]),
  ).toEqual({ count: 1, vips: ['192.0.2.1'] });
  const many = Array.from({ length: 200 }, (_, i) => ({ ...vip, vip: `192.0.2.${i}` }));
  expect(of(many)).toMatchObject({ count: 200, vips: { length: MAX_ANNOUNCED } });
});

test('a director without announcements reports none, its load changes once a minute, and whether it can announce at once', () => {
  let load = LOAD;
  let canAnnounce = true;
  const report = new ClusterReport({
    announcements: () => undefined,
    load: () => load,
    canAnnounce: () => canAnnounce,
  });
  const first = { connections: 12_000, newConnections: 4, inOctets: 99_000_000 };
  expect(report.at(5000)).not.toHaveProperty('announced');
  expect(report.at(5000).load).toEqual(first);
  load = { ...LOAD, connections: 0 };
  expect(report.at(64_999).load).toEqual(first);
  expect(report.at(65_000).load).toEqual({ ...first, connections: 0 });
  expect(report.at(65_000)).not.toHaveProperty('cannotAnnounce');
  canAnnounce = false;
  expect(report.at(65_000)).toHaveProperty('cannotAnnounce', true);
});

import { expect, test } from 'vitest';
import { Announcements } from '../../src/runtime/announcements.ts';
import { rulesDirector } from '../../src/runtime/cluster/computed-rules.ts';
import { Conditions } from '../../src/runtime/conditions.ts';
import { localApi } from '../../src/runtime/local-director.ts';
import type { OperatorState } from '../../src/runtime/operator-state.ts';

const VIP = '192.0.2.1';

test('a director that leaves its VIPs to the next one does not withdraw them while it ends', async () => {
  const director = rulesDirector();
  const service = { protocol: 'tcp', address: VIP, port: 80 } as const;
  const destination = { address: '10.0.0.1', port: 80 };
  await localApi(director, { now: () => 0 }).apply([
    { op: 'add-service', service, options: { scheduler: 'rr' } },
    { op: 'add-destination', service, destination, options: { method: 'dr', weight: 1 } },
  ]);
  let isReady = true;
  const log = () => {};
  const announcements = new Announcements({
    ...{ director, conditions: new Conditions(log), log, clock: () => 0 },
    wanted: () => ({ rise: 0 }),
    isReady: () => isReady,
    isDraining: () => false,
    handOver: async () => {},
    cluster: () => undefined,
    state: { changes: { isWithdrawn: false } } as OperatorState,
  });
  const announced = async () => {
    await announcements.update();
    return announcements.listing().vips.map(({ vip, isWanted }) => [vip, isWanted]);
  };
  expect(await announced()).toEqual([[VIP, true]]);
  const looking = announcements.update();
  announcements.stay();
  isReady = false;
  await looking;
  expect(await announced()).toEqual([[VIP, true]]);
});

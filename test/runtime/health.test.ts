import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Watch } from '../../src/checks/watch.ts';
import { compile } from '../../src/config/compile.ts';
import { parseYaml } from '../../src/config/yaml/parse-yaml.ts';
import { Director } from '../../src/director/director.ts';
import { inRules } from '../../src/model/snapshot.ts';
import { reloadCommands, runningOf } from '../../src/runtime/configuration/reload.ts';
import { explainedWithChecks, policiesOf, watchedOf, withChecks } from '../../src/runtime/health.ts';
import { localApi } from '../../src/runtime/local-director.ts';
import { stateOf } from '../../src/web/destination-state.ts';
import { labNames } from '../support/documents.ts';
import { keepSlicesWhole } from '../support/whole-slices.ts';

// What is checked or drained changes the rules at once.
keepSlicesWhole();

const FILE = `
services:
  - tcp: 192.168.0.101:80
    scheduler: rr
    check: { type: tcp, fall: 1, interval: 1 }
    destinations: [{ server: rs1, weight: 3 }, { server: rs2, weight: 2 }]
  - { mark: 7, check: { type: tcp }, destinations: [rs1] }
  - { tcp: '192.168.0.101:81', destinations: [rs1] }
`;

async function failing(file = FILE) {
  const { document } = await parseYaml(file, 'lvs.yaml', labNames, ['rr', 'wlc']);
  const host = { transmit: () => true, route: () => undefined, isLocal: () => false };
  const director = new Director({ host, maxConnections: 16 });
  const inner = localApi(director, { now: () => 0 });
  const watch = new Watch({
    probe: async ({ address }) => ({ healthy: address !== '192.168.0.3', message: 'looked' }),
    random: () => 0,
    apply: (commands) => void inner.apply(commands),
    event: () => {},
    serviceEvent: () => {},
  });
  await watch.set(watchedOf(document), 0, policiesOf(document));
  const api = localApi(director, {
    now: () => 0,
    prepare: (command, now) => watch.adjust(command, now),
    complete: (each, now) => withChecks(each, watch, now),
  });
  await api.apply(compile(document));
  watch.settled(0);
  watch.tick(0);
  await nextTurn();
  return { document, api, watch };
}

test('a failed destination has weight 0, and shows its configured weight and the reason', async () => {
  const { api } = await failing();
  const { services } = await api.snapshot({ services: true });
  const [second, first] = services[0]!.destinations;
  expect([first!.weight, second!.weight]).toEqual([0, 2]);
  expect(first!.check).toEqual({ type: 'tcp', state: 'down', since: 0, message: 'looked', weight: 3 });
  // A mark has no port to check, and the last destination is not watched.
  expect(services.slice(1).flatMap(({ destinations }) => destinations.map(({ check }) => check))).toEqual([
    undefined,
    undefined,
  ]);
});

test('an explanation reports that the check has quiesced a destination', async () => {
  const { watch } = await failing();
  const counts = {
    method: 'dr',
    activeConnections: 0,
    inactiveConnections: 0,
    taken: false,
  } as const;
  const candidate = (address: string, weight: number, why: string) => ({
    address,
    port: 80,
    weight,
    why,
    ...counts,
  });
  const service = { protocol: 'tcp', address: '192.168.0.101', port: 80 } as const;
  const candidates = [
    candidate('192.168.0.3', 0, 'quiesced: weight 0'),
    candidate('192.168.0.4', 2, 'weight 2'),
  ];
  const explained = explainedWithChecks(
    {
      packet: 'x',
      steps: [
        { step: 'service', service, near: [], asked: true },
        { step: 'scheduler', scheduler: 'rr', rule: 'x', candidates, more: 0 },
      ],
      verdict: 'no-destination',
    },
    watch,
    0,
  );
  const [, scheduler] = explained.steps;
  expect(scheduler).toMatchObject({
    candidates: [{ why: 'down: tcp check: looked' }, { why: 'weight 2' }],
  });
});

test('a change by a check is not a manual change: a reload keeps it', async () => {
  const { document, api } = await failing();
  const snapshot = await api.snapshot({ services: true });
  expect(
    reloadCommands(runningOf(snapshot), document, { commands: compile(document), draining: [] }),
  ).toEqual({
    commands: [],
    drains: [],
    manualChanges: [],
  });
});

test('a destination that is no longer watched gets its weight back', async () => {
  const { api, watch } = await failing();
  await api.apply(await watch.set([], 0));
  const { services } = await api.snapshot({ services: true });
  expect(services[0]!.destinations.map(({ weight }) => weight)).toEqual([2, 3]);
});

/** The first server fails and is removed; the second is up, and below the quorum. */
const SORRY = `
services:
  - tcp: 192.168.0.101:80
    scheduler: rr
    check: { type: tcp, fall: 1, interval: 1 }
    quorum: 3
    destinations: [{ server: rs1, weight: 3, inhibit: false }, { server: rs2, weight: 2 }]
    sorry: [rs3, { server: 192.168.0.9, inhibit: true, check: { type: tcp, fall: 1, interval: 1 } }]
`;

test('a service without quorum shows its sorry servers, and what they replace, and a reload changes nothing', async () => {
  const { document, api, watch } = await failing(SORRY);
  const { services } = await api.snapshot({ services: true });
  const [{ destinations, quorum }] = services as [(typeof services)[number]];
  expect(quorum).toEqual({ quorum: 3, hysteresis: 0, weight: 2, lost: true });
  const shown = destinations.map(({ address, weight, sorry, removed }) => ({
    ...{ address, weight },
    ...(sorry && { sorry }),
    ...(removed && { removed }),
  }));
  expect(shown.toSorted((a, b) => a.address.localeCompare(b.address))).toEqual([
    { address: '192.168.0.3', weight: 0, removed: true },
    { address: '192.168.0.4', weight: 0 },
    { address: '192.168.0.5', weight: 1, sorry: true },
    { address: '192.168.0.9', weight: 1, sorry: true },
  ]);
  expect(inRules(services)[0]!.destinations.map(({ address }) => address)).not.toContain('192.168.0.3');
  const words = destinations.map((each) => `${each.address} ${stateOf(each).word}`).toSorted();
  expect(words).toEqual([
    '192.168.0.3 down',
    '192.168.0.4 replaced',
    '192.168.0.5 sorry, in use',
    '192.168.0.9 sorry, in use',
  ]);
  expect(
    reloadCommands(runningOf({ ...(await api.snapshot({})), services }), document, {
      commands: compile(document),
      draining: [],
    }),
  ).toEqual({ commands: [], drains: [], manualChanges: [] });

  const { service } = services[0]!;
  const candidate = {
    ...{ address: '192.168.0.4', port: 80, weight: 0, why: 'weight 0', method: 'dr' as const },
  };
  const explained = explainedWithChecks(
    {
      packet: 'x',
      steps: [
        { step: 'service', service, near: [], asked: true },
        {
          ...{ step: 'scheduler', scheduler: 'rr', rule: 'x', more: 0 },
          candidates: [{ ...candidate, activeConnections: 0, inactiveConnections: 0, taken: false }],
        },
      ],
      verdict: 'forwarded',
    },
    watch,
    0,
  );
  expect(explained.steps[1]).toMatchObject({
    candidates: [{ why: 'quorum lost: 2 of 3; sorry servers are used' }],
  });
});

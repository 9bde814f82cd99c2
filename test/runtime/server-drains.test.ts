import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ServiceEvent } from '../../src/checks/members.ts';
import { Watch } from '../../src/checks/watch.ts';
import { compile } from '../../src/config/compile.ts';
import { parseYaml } from '../../src/config/yaml/parse-yaml.ts';
import { Director } from '../../src/director/director.ts';
import type { DestinationAddress } from '../../src/model/destination.ts';
import { reloadCommands, runningOf } from '../../src/runtime/configuration/reload.ts';
import { explainedWithChecks, policiesOf, watchedOf, withChecks } from '../../src/runtime/health.ts';
import { localApi } from '../../src/runtime/local-director.ts';
import { OperatorState, openOperatorState } from '../../src/runtime/operator-state.ts';
import { ServerDrains } from '../../src/runtime/server-drains.ts';
import { stateOf } from '../../src/web/destination-state.ts';
import { labNames } from '../support/documents.ts';
import { keepSlicesWhole } from '../support/whole-slices.ts';

// What is checked or drained changes the rules at once.
keepSlicesWhole();

const FILE = `
services:
  - { tcp: '192.168.0.101:80', scheduler: rr, destinations: [{ server: 192.168.0.3, weight: 3 }, 192.168.0.4] }
  - { tcp: '192.168.0.101:81', scheduler: rr, destinations: [{ server: 192.168.0.3:81, weight: 2 }], sorry: [192.168.0.9] }
  - { tcp: '[2001:db8::1]:80', scheduler: rr, destinations: ['2001:db8::3'] }
`;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lvs-drains-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const socket = () => join(folder, 'director.sock');

async function running() {
  const { document } = await parseYaml(FILE, 'lvs.yaml', labNames, ['rr', 'wlc']);
  const director = new Director({
    host: { transmit: () => true, route: () => undefined, isLocal: () => false },
    maxConnections: 16,
  });
  const inner = localApi(director, { now: () => 0 });
  const events: ServiceEvent['event'][] = [];
  const logged: string[] = [];
  const watch = new Watch({
    probe: async () => ({ healthy: true, message: '' }),
    random: () => 0,
    apply: (commands) => void inner.apply(commands),
    event: () => {},
    serviceEvent: ({ event }) => events.push(event),
  });
  const log = (_level: string, event: string, fields: object = {}) =>
    void logged.push(`${event} ${JSON.stringify(fields)}`);
  const drains = new ServerDrains({
    ...{ watch, log, director, state: openOperatorState(socket(), log) },
    clock: () => 0,
  });
  drains.restore();
  await watch.set(watchedOf(document), 0, policiesOf(document));
  const api = localApi(director, {
    now: () => 0,
    prepare: (command, now) => watch.adjust(command, now),
    complete: (each, now) => withChecks(each, watch, now),
  });
  await api.apply(compile(document));
  watch.settled(0);
  const weights = () =>
    [...director.services(0)].map(({ destinations }) =>
      destinations.map(({ address, port, weight }) => `${address} ${port} ${weight}`).sort(),
    );
  return { document, director, api, watch, drains, weights, events, logged };
}

const ALL = [['192.168.0.3 80 3', '192.168.0.4 80 1'], ['192.168.0.3 81 2'], ['2001:db8::3 80 1']];

describe('a drained server', () => {
  test('has weight 0 in every service, and its configured weights after its return', async () => {
    const { drains, weights, events, logged } = await running();
    expect(weights()).toEqual(ALL);
    expect(await drains.drain('192.168.0.3')).toEqual({
      server: '192.168.0.3',
      services: ['tcp 192.168.0.101:80', 'tcp 192.168.0.101:81'],
      connections: 0,
      templates: 0,
      refusing: [],
    });
    // Without any other server, the sorry server is used.
    expect(weights()).toEqual([
      ['192.168.0.3 80 0', '192.168.0.4 80 1'],
      ['192.168.0.3 81 0', '192.168.0.9 81 1'],
      ['2001:db8::3 80 1'],
    ]);
    expect(events).toContain('quorum-down');
    await drains.undrain('192.168.0.3');
    expect(weights()).toEqual(ALL);
    expect(logged).toEqual([
      'server-drained {"server":"192.168.0.3"}',
      'server-undrained {"server":"192.168.0.3"}',
    ]);
  });

  test('is named with the services that refuse the clients of a hash', async () => {
    const { drains, director } = await running();
    const service = { protocol: 'tcp', address: '192.168.0.101', port: 80 } as const;
    const edit = (scheduler: string, schedulerFlags = 0) =>
      director.apply({ op: 'edit-service', service, options: { scheduler, schedulerFlags } }, 0);
    const refusing = async () => (await drains.drain('192.168.0.3')).refusing;
    edit('mh');
    expect(await refusing()).toEqual(['tcp 192.168.0.101:80']);
    edit('mh', 1);
    expect(await refusing()).toEqual([]);
    edit('dh');
    expect(await refusing()).toEqual(['tcp 192.168.0.101:80']);
  });

  test('is shown as drained, with its configured weight, and explained', async () => {
    const { drains, api, watch } = await running();
    await drains.drain('192.168.0.3');
    const { services } = await api.snapshot({ services: true });
    const one = services[0]!.destinations.find(({ address }) => address === '192.168.0.3')!;
    expect(one).toMatchObject({ weight: 0, configuredWeight: 3, drained: true });
    expect(stateOf(one)).toEqual({
      mood: 'fair',
      word: 'drained',
      why: 'drained by command; 0 connections left',
    });
    const candidate = { ...one, taken: false, why: 'quiesced: weight 0' };
    const { service } = services[0]!;
    const { steps } = explainedWithChecks(
      {
        packet: 'x',
        steps: [
          { step: 'service', service, near: [], asked: true },
          { step: 'scheduler', scheduler: 'rr', rule: 'x', candidates: [candidate], more: 0 },
        ],
        verdict: 'no-destination',
      },
      watch,
      0,
    );
    expect(steps[1]).toMatchObject({ candidates: [{ why: 'drained by command (lvs-director undrain)' }] });
  });

  test('stays drained over a reload, a manual edit and a removal, and a reload plans no change for it', async () => {
    const { drains, api, document, weights } = await running();
    await drains.drain('192.168.0.3');
    const before = { commands: compile(document), draining: [] };
    const { commands } = reloadCommands(runningOf(await api.snapshot({ services: true })), document, before);
    expect(commands).toEqual([]);
    const service = { protocol: 'tcp', address: '192.168.0.101', port: 80 } as const;
    const destination: DestinationAddress = { address: '192.168.0.3', port: 80 };
    const options = { method: 'dr', weight: 7 } as const;
    await api.apply([{ op: 'edit-destination', service, destination, options }]);
    expect(weights()[0]).toContain('192.168.0.3 80 0');
    await api.apply([{ op: 'delete-destination', service, destination }]);
    await api.apply([{ op: 'add-destination', service, destination, options }]);
    expect(weights()[0]).toContain('192.168.0.3 80 0');
    await drains.undrain('192.168.0.3');
    expect(weights()[0]).toContain('192.168.0.3 80 7');
  });

  test('is named by any notation of its address, and by a port', async () => {
    const { drains, weights } = await running();
    expect((await drains.drain('2001:0db8:0::3')).server).toBe('2001:db8::3');
    expect((await drains.drain('::ffff:192.168.0.4')).server).toBe('192.168.0.4');
    expect((await drains.drain('192.168.0.3:81')).server).toBe('192.168.0.3:81');
    expect(weights()[0]).toEqual(['192.168.0.3 80 3', '192.168.0.4 80 0']);
    expect(weights()[1]).toEqual(['192.168.0.3 81 0', '192.168.0.9 81 1']);
    // The end of a server's drain is that of its ports, too.
    await drains.undrain('192.168.0.3');
    await drains.undrain('2001:db8::3');
    expect((await drains.list()).map(({ server }) => server)).toEqual(['192.168.0.4']);
  });

  test('goes on when the next director starts, until its drain ends', async () => {
    const first = await running();
    await first.drains.drain('192.168.0.3');
    const second = await running();
    expect(second.weights()[0]).toEqual(['192.168.0.3 80 0', '192.168.0.4 80 1']);
    await second.drains.undrain('192.168.0.3');
    expect(existsSync(`${socket()}.operator`)).toBe(false);
    expect((await running()).weights()).toEqual(ALL);
  });
});

test('a server that is unknown, invalid or not drained is an error, and changes nothing', async () => {
  const { drains, weights } = await running();
  await expect(async () => drains.drain('192.168.0.77')).rejects.toThrow(
    '192.168.0.77: no service has this server (servers: 192.168.0.3 192.168.0.4 192.168.0.9 2001:db8::3)',
  );
  await expect(async () => drains.drain('192.168.0.3:82')).rejects.toThrow(
    '192.168.0.3:82: no service has this server',
  );
  for (const text of ['', 'nothing', '192.168.0.3:', '192.168.0.3:65536', '192.168.0.0/24', '[::1'])
    await expect(async () => drains.drain(text)).rejects.toThrow(
      `${text}: invalid server: expected its name in lvs.yaml, or an address`,
    );
  await expect(async () => drains.undrain('192.168.0.3')).rejects.toThrow('192.168.0.3: not drained');
  await drains.drain('192.168.0.3');
  await expect(async () => drains.undrain('192.168.0.3:81')).rejects.toThrow(
    '192.168.0.3:81: not drained: 192.168.0.3 is, with all its ports (undrain 192.168.0.3)',
  );
  await drains.undrain('192.168.0.3');
  expect(weights()).toEqual(ALL);
});

test('a state that cannot be written changes nothing', async () => {
  const { drains, weights } = await running();
  rmSync(folder, { recursive: true });
  await expect(async () => drains.drain('192.168.0.3')).rejects.toThrow('not written, nothing is changed');
  expect(weights()).toEqual(ALL);
  folder = mkdtempSync(join(tmpdir(), 'lvs-drains-'));
});

test.each(['', '{}', '[1]', '{"version":1,"drained":[1]}', '{"version":2,"drained":[]}'])(
  'a state %j is set aside and logged',
  (text) => {
    writeFileSync(`${socket()}.operator`, text);
    const errors: string[] = [];
    const state = openOperatorState(socket(), (_level, event) => void errors.push(event));
    expect(state.changes).toEqual(new OperatorState(socket()).changes);
    expect(errors).toEqual(['operator-state-rejected']);
    expect(readFileSync(`${socket()}.operator.invalid`, 'utf8')).toBe(text);
  },
);

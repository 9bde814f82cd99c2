import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compile } from '../../../src/config/compile.ts';
import type { Document } from '../../../src/config/document.ts';
import type { Drain } from '../../../src/config/reload/reconcile.ts';
import { parseYaml } from '../../../src/config/yaml/parse-yaml.ts';
import { Director } from '../../../src/director/director.ts';
import type { Command } from '../../../src/model/command.ts';
import { reloadCommands, runningOf } from '../../../src/runtime/configuration/reload.ts';
import { documents, labNames } from '../../support/documents.ts';

const doc = async (text: string): Promise<Document> => {
  const { document, problems } = await parseYaml(text, 'lvs.yaml', labNames, ['rr', 'wlc']);
  expect(problems).toEqual([]);
  return document;
};
const directorOf = (commands: readonly Command[]): Director => {
  const host = { transmit: () => true, route: () => undefined, isLocal: () => false };
  const director = new Director({ host, random: () => 0, maxConnections: 16 });
  for (const command of commands) director.apply(command, 0);
  return director;
};
/** Returns the plan of a reload from one file to another. `manual`: manual commands in between. */
function reload(
  from: Document,
  to: Document,
  { manual = [], draining = [] }: { manual?: readonly Command[]; draining?: readonly Drain[] } = {},
) {
  const director = directorOf([...compile(from), ...manual]);
  return reloadCommands(runningOf(director.snapshot(0)), to, { commands: compile(from), draining });
}

const BASE = `
settings: { conn_reuse_mode: 0, drop_entry: 1 }
timeouts: { tcp: 600, udp: 30 }
marks: [{ mark: 7, to: 10.8.0.0/16 }]
services:
  - { tcp: '192.168.0.101:80', scheduler: rr, destinations: [rs1, rs2] }
`;

/** Documents whose settings differ, too. */
const whole = fc
  .record({
    document: documents,
    settings: fc.record(
      {
        sloppy_tcp: fc.nat({ max: 1 }),
        am_droprate: fc.integer({ min: 1, max: 99 }),
        drop_entry: fc.nat({ max: 3 }),
      },
      { requiredKeys: [] },
    ),
    timeouts: fc.record(
      { tcp: fc.integer({ min: 1, max: 1000 }), udp: fc.integer({ min: 1, max: 1000 }) },
      { requiredKeys: [] },
    ),
    marks: fc.array(fc.record({ mark: fc.integer({ min: 1, max: 3 }) }), { maxLength: 2 }),
  })
  .map(({ document, ...rest }): Document => ({ ...document, ...rest }));

test('any document can be reloaded to any other, and a second reload changes nothing', () => {
  fc.assert(
    fc.property(whole, whole, (from, to) => {
      const director = directorOf(compile(from));
      const { commands, drains, manualChanges } = reloadCommands(runningOf(director.snapshot(0)), to, {
        commands: compile(from),
        draining: [],
      });
      expect(manualChanges).toEqual([]);
      for (const command of commands) director.apply(command, 0);
      for (const { service, destination } of drains)
        director.apply(
          destination
            ? { op: 'delete-destination', service, destination }
            : { op: 'delete-service', service },
          0,
        );
      const fresh = directorOf(compile(to)).snapshot(0);
      const now = director.snapshot(0);
      expect(now.timeouts).toEqual(fresh.timeouts);
      expect(now.settings).toEqual(fresh.settings);
      expect([...director.context.marks.rules]).toEqual(to.active ? to.marks : []);
      expect(now.services.length).toBe(fresh.services.length);
      expect(reloadCommands(runningOf(now), to, { commands: compile(to), draining: [] })).toEqual({
        commands: [],
        drains: [],
        manualChanges: [],
      });
    }),
  );
});

describe('a reload', () => {
  test('of the same file changes nothing', async () => {
    const file = await doc(BASE);
    expect(reload(file, file)).toEqual({ commands: [], drains: [], manualChanges: [] });
  });

  test('sets settings, timeouts and marks as the file says, and back to defaults', async () => {
    const { commands } = reload(
      await doc(BASE),
      await doc(
        "timeouts: { tcp: 700, udp: 30 }\nservices: [{ tcp: '192.168.0.101:80', scheduler: rr, destinations: [rs1, rs2] }]",
      ),
    );
    expect(commands).toEqual([
      { op: 'set', name: 'conn_reuse_mode', value: 1 },
      { op: 'set', name: 'drop_entry', value: 0 },
      { op: 'set-timeouts', timeouts: { tcp: 700, tcpFin: 0, udp: 0 } },
      { op: 'set-marks', rules: [] },
    ]);
  });

  test('keeps and reports a setting that was set with ipvsadm, unless the file changes it', async () => {
    const file = await doc(BASE);
    const manual: Command[] = [
      { op: 'set', name: 'conn_reuse_mode', value: 2 },
      { op: 'set-timeouts', timeouts: { tcp: 0, tcpFin: 77, udp: 0 } },
    ];
    expect(reload(file, file, { manual })).toEqual({
      commands: [],
      drains: [],
      manualChanges: [
        'setting conn_reuse_mode is 2, not 0 as in the file',
        'timeout tcpFin is 77, not 120 as in the file',
      ],
    });
    const changed = await doc(BASE.replace('conn_reuse_mode: 0', 'conn_reuse_mode: 1'));
    expect(reload(file, changed, { manual }).commands).toEqual([
      { op: 'set', name: 'conn_reuse_mode', value: 1 },
    ]);
    const replacing = await doc(`adopt: replace${BASE}`);
    expect(reload(file, replacing, { manual }).commands).toEqual([
      { op: 'set', name: 'conn_reuse_mode', value: 0 },
      { op: 'set-timeouts', timeouts: { tcp: 0, tcpFin: 120, udp: 0 } },
    ]);
  });

  test('continues a drain of an earlier reload, and ends it when the file has the destination again', async () => {
    const before = await doc(BASE);
    const after = await doc(BASE.replace('[rs1, rs2]', '[rs2]'));
    const first = reload(before, after);
    const director = directorOf([...compile(before), ...first.commands]);
    const now = { commands: compile(after), draining: first.drains };
    expect(reloadCommands(runningOf(director.snapshot(0)), after, now)).toEqual({
      commands: [],
      drains: first.drains,
      manualChanges: [],
    });
    expect(reloadCommands(runningOf(director.snapshot(0)), before, now)).toMatchObject({
      commands: [{ op: 'edit-destination', options: { weight: 1 } }],
      drains: [],
      manualChanges: [],
    });
  });

  test('continues the drain of a service', async () => {
    const before = await doc(BASE);
    const after = await doc('services: []');
    const first = reload(before, after);
    expect(first.drains).toHaveLength(3);
    const director = directorOf([...compile(before), ...first.commands]);
    expect(
      reloadCommands(runningOf(director.snapshot(0)), after, { commands: [], draining: first.drains }),
    ).toMatchObject({ commands: [], drains: first.drains, manualChanges: [] });
  });
});

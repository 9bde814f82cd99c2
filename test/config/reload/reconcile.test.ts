import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compile } from '../../../src/config/compile.ts';
import type { Document } from '../../../src/config/document.ts';
import { appliedOf, rulesRunning } from '../../../src/config/reload/applied-state.ts';
import { type Reconciliation, reconcile } from '../../../src/config/reload/reconcile.ts';
import { parseYaml } from '../../../src/config/yaml/parse-yaml.ts';
import { Director } from '../../../src/director/director.ts';
import type { Command } from '../../../src/model/command.ts';
import { documents, labNames } from '../../support/documents.ts';

/** A director that has no host: it only has rules. */
const directorOf = (commands: readonly Command[]): Director => {
  const host = { transmit: () => true, route: () => undefined, isLocal: () => false };
  const director = new Director({ host, random: () => 0, maxConnections: 16 });
  for (const command of commands) director.apply(command, 0);
  return director;
};
const rulesOf = (document: Document) => appliedOf(compile(document)).rules;
const running = (director: Director) => rulesRunning(director.snapshot(0));

/** Does what a director's owner does with a reconciliation when every connection has ended. */
function carryOut(director: Director, { commands, drains }: Reconciliation): void {
  for (const command of commands) director.apply(command, 0);
  for (const { service, destination } of drains)
    director.apply(
      destination ? { op: 'delete-destination', service, destination } : { op: 'delete-service', service },
      0,
    );
}

const doc = async (text: string): Promise<Document> => {
  const { document, problems } = await parseYaml(text, 'lvs.yaml', labNames, ['rr', 'wlc']);
  expect(problems).toEqual([]);
  return document;
};

const IPIP = { type: 'ipip', port: 0, checksum: 'none' };

/** Rules without their order and with all defaults written out: a fixed point of writing them into a director. */
const plain = (rules: ReturnType<typeof rulesOf>) =>
  rules
    .map(({ service, options, destinations }) => ({
      service,
      scheduler: options.scheduler,
      flags: options.schedulerFlags ?? 0,
      persistent: options.persistent ?? 0,
      prefix: options.persistent ? (options.persistencePrefix ?? 32) : 0,
      engine: options.engine ?? '',
      ops: options.ops ?? false,
      destinations: destinations
        .map((each) => ({
          at: `${each.address}:${each.port}`,
          method: each.options.method,
          weight: each.options.weight ?? 1,
          upper: each.options.upperThreshold ?? 0,
          lower: each.options.lowerThreshold ?? 0,
          tunnel: each.options.method === 'tunnel' ? (each.options.tunnel ?? IPIP) : undefined,
        }))
        .sort((a, b) => (a.at < b.at ? -1 : 1)),
    }))
    .sort((a, b) => (JSON.stringify(a.service) < JSON.stringify(b.service) ? -1 : 1));

test('any document can be reconciled to any other document', () => {
  fc.assert(
    fc.property(documents, documents, (from, to) => {
      const director = directorOf(compile(from));
      carryOut(director, reconcile(running(director), to, rulesOf(from)));
      expect(plain(running(director))).toEqual(plain(rulesOf(to)));
      const again = reconcile(running(director), to, rulesOf(to));
      expect(again).toMatchObject({ commands: [], drains: [], manualChanges: [] });
    }),
  );
});

const BASE = `
services:
  - { tcp: '192.168.0.101:80', scheduler: rr, destinations: [rs1, rs2] }
  - { udp: '192.168.0.101:53', destinations: [rs1] }
`;

describe('a reload changes only what differs:', () => {
  test('it quiesces, then drains, a removed destination', async () => {
    const before = await doc(BASE);
    const director = directorOf(compile(before));
    const after = await doc(BASE.replace('[rs1, rs2]', '[rs2]'));
    const { commands, drains } = reconcile(running(director), after, rulesOf(before));
    expect(commands).toMatchObject([
      { op: 'edit-destination', destination: { address: '192.168.0.3' }, options: { weight: 0 } },
    ]);
    expect(drains).toEqual([
      {
        service: { protocol: 'tcp', address: '192.168.0.101', port: 80 },
        destination: { address: '192.168.0.3', port: 80 },
      },
    ]);
  });

  test('it edits a service once when its scheduler changes', async () => {
    const before = await doc(BASE);
    const after = await doc(BASE.replace('scheduler: rr', 'scheduler: wlc'));
    const { commands } = reconcile(running(directorOf(compile(before))), after, rulesOf(before));
    expect(commands).toMatchObject([{ op: 'edit-service', options: { scheduler: 'wlc' } }]);
  });
});

describe('rules that were set with ipvsadm', () => {
  const manualChanges: Command[] = [
    {
      op: 'add-service',
      service: { protocol: 'tcp', address: '192.168.0.101', port: 443 },
      options: { scheduler: 'rr' },
    },
    {
      op: 'edit-destination',
      service: { protocol: 'tcp', address: '192.168.0.101', port: 80 },
      destination: { address: '192.168.0.3', port: 80 },
      options: { method: 'dr', weight: 0 },
    },
    {
      op: 'add-destination',
      service: { protocol: 'udp', address: '192.168.0.101', port: 53 },
      destination: { address: '192.168.0.9', port: 53 },
      options: { method: 'dr' },
    },
  ];
  const reported = [
    'tcp 192.168.0.101:80: destination 192.168.0.3:80 was changed with ipvsadm',
    'udp 192.168.0.101:53: destination 192.168.0.9:53 is not in the file',
    'tcp 192.168.0.101:443 is not in the file',
  ];

  test('are reported and kept', async () => {
    const file = await doc(BASE);
    const director = directorOf([...compile(file), ...manualChanges]);
    expect(reconcile(running(director), file, rulesOf(file))).toMatchObject({
      commands: [],
      drains: [],
      manualChanges: reported,
    });
  });

  test('are replaced when the file changes the same rule', async () => {
    const before = await doc(BASE);
    const director = directorOf([...compile(before), ...manualChanges]);
    const after = await doc(BASE.replace('[rs1, rs2]', '[{ server: rs1, weight: 5 }, rs2]'));
    expect(reconcile(running(director), after, rulesOf(before)).commands).toMatchObject([
      { op: 'edit-destination', options: { weight: 5 } },
    ]);
  });

  test('are reported and replaced with adopt: replace', async () => {
    const file = await doc(`adopt: replace${BASE}`);
    const director = directorOf([...compile(file), ...manualChanges]);
    const result = reconcile(running(director), file, rulesOf(file));
    expect([...result.manualChanges].sort()).toEqual([...reported].sort());
    carryOut(director, result);
    expect(plain(running(director))).toEqual(plain(rulesOf(file)));
  });
});

describe('a destination that joined', () => {
  const FILE = (destinations: string) =>
    `services:\n  - { tcp: 192.168.0.101:80, scheduler: rr, destinations: [${destinations}] }\n`;
  const documentOf = async (text: string) =>
    (await parseYaml(text, 'lvs.yaml', labNames, ['rr', 'wlc'])).document;
  /** Rules of a running director: one destination of the file, and one that joined. */
  const withJoined = async () => {
    const document = await documentOf(FILE('rs1'));
    const [rule] = rulesOf(document);
    const joined = {
      address: '10.9.9.9',
      port: 80,
      options: { method: 'dr', weight: 70 },
      isJoined: true,
    } as const;
    return { document, rules: [{ ...rule!, destinations: [...rule!.destinations, joined] }] };
  };

  test('is neither removed nor a manual change', async () => {
    const { document, rules } = await withJoined();
    for (const adopt of ['keep', 'replace'] as const)
      expect(reconcile(rules, { ...document, adopt }, rulesOf(document))).toEqual({
        ...{ commands: [], drains: [], manualChanges: [] },
      });
  });

  test('gets the options of the file when the file lists it', async () => {
    const { document, rules } = await withJoined();
    const after = await documentOf(FILE('rs1, { server: 10.9.9.9, weight: 3 }'));
    expect(reconcile(rules, after, rulesOf(document))).toMatchObject({
      commands: [{ op: 'edit-destination', destination: { address: '10.9.9.9' }, options: { weight: 3 } }],
      ...{ drains: [], manualChanges: [] },
    });
  });

  test('does not keep a service that the file lacks', async () => {
    const { document, rules } = await withJoined();
    const { drains } = reconcile(rules, { ...document, services: [] }, rulesOf(document));
    expect(drains.map(({ destination }) => destination?.address)).toEqual([
      expect.not.stringMatching('10.9'),
      undefined,
    ]);
  });
});

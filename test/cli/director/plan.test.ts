import { describe, expect, test } from 'vitest';
import { planOf } from '../../../src/cli/director/plan.ts';
import { compile } from '../../../src/config/compile.ts';
import { listedOf } from '../../../src/config/listed.ts';
import { checkDigests } from '../../../src/config/reload/check-digests.ts';
import { parseYaml } from '../../../src/config/yaml/parse-yaml.ts';
import { Director } from '../../../src/director/director.ts';
import type { Command } from '../../../src/model/command.ts';
import { readAccessLists } from '../../../src/runtime/configuration/access-files.ts';
import type { Loaded } from '../../../src/runtime/configuration/configuration.ts';
import { ConfiguredNames } from '../../../src/runtime/configuration/configured-names.ts';
import { formatPlan } from '../../../src/runtime/configuration/plan-text.ts';
import { localApi } from '../../../src/runtime/local-director.ts';
import { schedulers } from '../../../src/schedulers/index.ts';
import { labNames } from '../../support/documents.ts';
import { frameOf } from '../../support/packets.ts';

async function read(text: string): Promise<Loaded> {
  const { document, problems } = await parseYaml(text, 'lvs.yaml', labNames, Object.keys(schedulers));
  expect(problems).toEqual([]);
  return {
    document,
    commands: compile(document),
    vips: document.vips,
    interfaces: [],
    warnings: [],
    access: await readAccessLists(document, true),
  };
}

/** The plan from one file to another, after `clients` connections and manual changes. */
async function planned(
  from: string,
  to: string,
  clients = 0,
  hands: readonly Command[] = [],
  datapath = 'live',
) {
  const before = await read(from);
  const director = new Director({
    host: { transmit: () => true, route: (to) => ({ mtu: 1500, source: to }), isLocal: () => false },
    random: () => 0,
    maxConnections: 64,
  });
  for (const command of [...before.commands, ...hands]) director.apply(command, 0);
  for (let i = 0; i < clients; i++)
    director.handle(frameOf(`203.0.113.${i + 1}:1000 > 192.168.0.101:80 TCP SYN`), 0);
  const names = new ConfiguredNames();
  await names.set(listedOf(before.document));
  const { snapshot } = localApi(director, { now: () => 0, complete: (each) => names.complete(each) });
  const configured = async () => ({
    file: '/etc/lvs.yaml',
    commands: before.commands,
    datapath,
    vips: before.vips.map(({ address, device }) => `${address} ${device}`),
    checks: checkDigests(before.document),
    lists: before.access.digests,
    draining: [],
  });
  return planOf(await read(to), { snapshot, configured });
}

const WEB = "{ tcp: '192.168.0.101:80', scheduler: rr, destinations: [rs1, rs2] }";
const file = (...services: string[]) =>
  `vips: [{ interface: eth0, address: 192.168.0.101, prefix: 24 }]\nservices: [${services.join(', ')}]`;

describe('lvs-director plan', () => {
  test('reports when there is nothing to do', async () => {
    expect(formatPlan(await planned(file(WEB), file(WEB), 3))).toBe('no changes\n');
  });

  test('names services whose checks, sorry servers, quorum or programs change', async () => {
    const with_ = (text: string) => file(WEB.replace('scheduler: rr', `scheduler: rr, ${text}`));
    const line = '~ tcp 192.168.0.101:80: health checks, sorry servers, quorum or programs\n';
    const texts = [
      'check: { type: tcp }',
      'check: { type: tcp, fall: 3 }',
      'sorry: [rs3]',
      'quorum: 2',
      'notify: { quorum-up: [a] }',
      'inhibit: false',
    ];
    for (const text of texts) {
      expect(formatPlan(await planned(file(WEB), with_(text)))).toBe(line);
      expect(formatPlan(await planned(with_(text), file(WEB)))).toBe(line);
      expect(formatPlan(await planned(with_(text), with_(text)))).toBe('no changes\n');
    }
    expect(formatPlan(await planned(with_(texts[0]!), with_(texts[1]!)))).toBe(line);
    // A service that is added is named by its rules.
    expect(formatPlan(await planned(file(), with_(texts[0]!)))).not.toContain('health checks');
  });

  test('prints additions, changes and removals, and the connections that they affect', async () => {
    const plan = await planned(
      file(WEB),
      `settings: { sloppy_tcp: 1 }\ndrain: 60\n${file(
        WEB.replace('[rs1, rs2]', '[{ server: rs2, weight: 5 }, { server: rs3, upper-threshold: 9 }]'),
        "{ udp: '192.168.0.101:53', destinations: [rs1] }",
      )}`,
      5,
    );
    expect(formatPlan(plan)).toBe(`~ setting sloppy_tcp: 0 -> 1
~ tcp 192.168.0.101:80 -> 192.168.0.4:80: weight 1 -> weight 5; connections are kept (3 connections)
+ tcp 192.168.0.101:80 -> 192.168.0.5:80: dr, weight 1, upper threshold 9
+ udp 192.168.0.101:53: wlc
+ udp 192.168.0.101:53 -> 192.168.0.3:53: dr, weight 1
- tcp 192.168.0.101:80 -> 192.168.0.3:80: no new connections, removed when its connections end, at the latest after 60 s (2 connections)
`);
  });

  test('prints VIPs that are added and removed, and whole services', async () => {
    const plan = await planned(file(WEB), file().replace('0.101', '0.102'), 1);
    expect(formatPlan(plan)).toMatch(/^\+ VIP 192\.168\.0\.102 eth0\n/);
    expect(formatPlan(plan)).toContain('- VIP 192.168.0.101 eth0\n');
    expect(formatPlan(plan)).toContain('- tcp 192.168.0.101:80: when its destinations are removed\n');
  });

  test('prints rules that were set with ipvsadm and what happens to them', async () => {
    const hands: Command[] = [
      {
        op: 'add-service',
        service: { protocol: 'tcp', address: '192.168.0.101', port: 443 },
        options: { scheduler: 'rr' },
      },
    ];
    expect(formatPlan(await planned(file(WEB), file(WEB), 0, hands))).toBe(
      '! changed with ipvsadm: tcp 192.168.0.101:443 is not in the file (adopt: keep)\n',
    );
  });
});

describe('lvs-director plan prints sync daemons', () => {
  const synced = (text: string) => `sync: { ${text}, key-file: /etc/lvs/sync.key }\n${file(WEB)}`;

  test('that start, change and stop', async () => {
    const daemon = 'interface eth1, syncid 7, group 224.0.0.81, port 8848, ttl 1';
    expect(formatPlan(await planned(file(WEB), synced('interface: eth1, syncid: 7')))).toBe(
      `+ master sync daemon: ${daemon}\n+ backup sync daemon: ${daemon}\n`,
    );
    const [before, after] = ['interface: eth1', 'interface: eth1, role: backup, port: 9000'].map(synced);
    expect(formatPlan(await planned(before!, after!))).toBe(
      '- master sync daemon: connections are kept\n~ backup sync daemon: port 8848 -> port 9000\n',
    );
  });

  test('that were stopped with ipvsadm', async () => {
    const same = synced('interface: eth1, role: backup');
    const stop = { op: 'stop-daemon', role: 'backup' } as const;
    expect(formatPlan(await planned(same, same, 0, [stop]))).toBe(
      '! changed with ipvsadm: the backup sync daemon does not run (adopt: keep)\n',
    );
    expect(formatPlan(await planned(same, `adopt: replace\n${same}`, 0, [stop]))).toContain(
      '+ backup sync daemon: interface eth1',
    );
  });
});

describe('the share of clients that would move', () => {
  const service = (scheduler: string, ...servers: string[]) =>
    file(`{ tcp: '192.168.0.101:80', scheduler: ${scheduler}, destinations: [${servers.join(', ')}] }`);
  const share = async (from: string, to: string) => (await planned(from, to)).moved[0]?.share ?? 0;

  test('is about a third when one of three destinations is removed, under mh', async () => {
    const moved = await share(service('mh', 'rs1', 'rs2', 'rs3'), service('mh', 'rs1', 'rs2'));
    expect(moved).toBeGreaterThan(0.3);
    expect(moved).toBeLessThan(0.42);
  });

  test('is larger under sh, whose buckets all shift', async () => {
    const moved = await share(service('sh', 'rs1', 'rs2', 'rs3'), service('sh', 'rs1', 'rs2'));
    expect(moved).toBeGreaterThan(0.45);
  });

  test('is all or nothing under dh, when a service has one address', async () => {
    const moved = await share(service('dh', 'rs1'), service('dh', 'rs2'));
    expect(moved).toBe(1);
  });

  test('is zero when the table stays the same', async () => {
    expect(await share(service('sh', 'rs1', 'rs2'), `drain: 9\n${service('sh', 'rs1', 'rs2')}`)).toBe(0);
  });

  test('is omitted for schedulers that do not hash', async () => {
    expect((await planned(service('rr', 'rs1', 'rs2'), service('rr', 'rs1'))).moved).toEqual([]);
  });
});

test('a plan lists new names, which affect no connection', async () => {
  const named =
    "{ tcp: '192.168.0.101:80', name: web, scheduler: rr, destinations: [{ server: rs1, name: one }, rs2] }";
  const plan = await planned(file(WEB), file(named), 2);
  expect(plan.steps).toEqual([]);
  expect(formatPlan(plan)).toBe(
    '~ name of tcp 192.168.0.101:80: none -> web\n~ name of tcp 192.168.0.101:80 -> 192.168.0.3:80: rs1 -> one\n',
  );
});

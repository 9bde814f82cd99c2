/** Two directors with keepalived: clients and their connections when one of them stops, fails or returns. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterMissing } from '../support/cluster.ts';
import { lacking } from '../support/debian.ts';
import { Lab } from '../support/lab.ts';
import type { LabHost } from '../support/lab-host.ts';
import {
  conf,
  ipvsadm,
  director as lvs,
  startAgent,
  startDirector,
  startServers,
} from '../support/lvs-programs.ts';
import { PATIENCE, type Program } from '../support/program.ts';
import { built } from '../support/project.ts';

const why = clusterMissing() ?? lacking('/usr/sbin/keepalived', 'keepalived');
const READY = '/run/lvs/ready';
const WEB = '127.0.0.1:9112';
const HELD = 200;
/** ms after which a new connection counts as failed. */
const LIMIT_MS = process.env['LVS_PAIR_LIMIT_MS'] ?? '10000';

test('the required programs and privileges are available', ({ skip }) => skip(why !== undefined, why));

/** A director with its keepalived. */
class Node {
  readonly host: LabHost;
  readonly #config: string;
  readonly #datapath: string;
  readonly #keepalived: string;
  director!: Program;
  keepalived!: Program;

  constructor(host: LabHost, config: string, keepalived: string, datapath: string) {
    this.host = host;
    this.#config = config;
    this.#datapath = datapath;
    this.#keepalived = join(host.folder, 'keepalived.conf');
    const program = join(host.folder, 'lvs-director');
    writeFileSync(program, `#!/bin/sh\nexec ${lvs.join(' ')} "$@"\n`, { mode: 0o755 });
    const text = readFileSync(keepalived, 'utf8').replaceAll('/usr/bin/lvs-director', program);
    writeFileSync(this.#keepalived, text);
  }

  async startDirector(): Promise<void> {
    this.director = await startDirector(
      this.host,
      this.#config,
      ...['--datapath', this.#datapath, '--connections', '20000', '--standby', '--ready-file', READY],
      ...['--metrics', WEB],
    );
  }

  startKeepalived(): void {
    const at = (name: string) => join(this.host.folder, name);
    this.keepalived = this.host.spawn([
      ...['keepalived', '--dont-fork', '--log-console', '--vrrp', '--config-id', this.host.name],
      ...['--use-file', this.#keepalived, '--pid', at('keepalived.pid'), '--vrrp_pid', at('vrrp.pid')],
    ]);
  }

  /** Kills keepalived. While its processes have not been waited for, another one takes them for running, and does not start. */
  async killKeepalived(): Promise<void> {
    const pids = `$(cat ${join(this.host.folder, 'keepalived.pid')} ${join(this.host.folder, 'vrrp.pid')})`;
    await this.host.exec(
      `p="${pids}"; kill -9 $p; for i in $p; do while kill -0 $i; do sleep 0.05; done; done`,
    );
  }

  /** Resolves when a command succeeds here. */
  async until(command: string): Promise<void> {
    const { status } = await this.host.run(`until ${command}; do sleep 0.05; done`, { limit: PATIENCE });
    if (status !== 0) throw new Error(`${this.host.name}: not within ${PATIENCE} ms: ${command}`);
  }
}

interface Case {
  readonly shape: 'dr' | 'nat' | 'tunnel';
  readonly family?: 6;
  readonly datapath: string;
  /** Files of conf/ha: of the directors, and of keepalived. */
  readonly yaml: string;
  /** `imported`: what `lvs-director import` leaves of a file with virtual servers. */
  readonly keepalived: string;
  /** Whether messages are signed, and a director that joins fetches the table. */
  readonly hasKey: boolean;
  /** Whether all events are tried, or those that differ from those of the other cases. */
  readonly isComplete: boolean;
}

const selected = process.env['LVS_DATAPATH'];
const CASES: Readonly<Record<string, Case>> = {
  'direct routing': {
    ...{ shape: 'dr', yaml: 'dr.yaml', keepalived: 'dr.conf' },
    ...{ datapath: selected ?? 'live', hasKey: true, isComplete: true },
  },
  'NAT without a key': {
    ...{ shape: 'nat', yaml: 'nat.yaml', keepalived: 'nat.conf' },
    ...{ datapath: selected ?? 'tc', hasKey: false, isComplete: true },
  },
  tunnels: {
    ...{ shape: 'tunnel', yaml: 'tunnel.yaml', keepalived: 'imported' },
    ...{ datapath: selected ?? 'tc', hasKey: true, isComplete: false },
  },
  IPv6: {
    ...{ shape: 'dr', family: 6, yaml: 'ipv6.yaml', keepalived: 'ipv6.conf' },
    ...{ datapath: selected ?? 'live', hasKey: true, isComplete: false },
  },
};

/** Imports dr.conf as it was before there was a director, and resolves with the path of what remains. */
async function imported({ folder, client }: Lab): Promise<string> {
  const before = join(folder, 'before.conf');
  const text = readFileSync(conf('ha/dr.conf'), 'utf8')
    .replace(/^track_file [^}]*}\n/m, '')
    .replace(/^ +track_file [^}]*}\n/m, '')
    .replace(/^ +notify .*\n/m, '');
  expect(text).not.toMatch(/^[^#]*(track_file|notify)/m);
  const servers =
    'virtual_server 192.168.0.101 80 {\n  lb_kind TUN\n  real_server 192.168.2.3 80 {\n  }\n}\n';
  writeFileSync(before, text + servers);
  const remaining = join(folder, 'remaining.conf');
  await client.exec([...lvs, 'import', before, '--config-id', 'vs1', '--keepalived', remaining]);
  return remaining;
}

describe.skipIf(why !== undefined).each(Object.entries(CASES))('%s', (name, each) => {
  let lab: Lab;
  let nodes: readonly Node[];
  let clients: Program | undefined;
  const vip = each.family === 6 ? 'fd00::101' : '192.168.0.101';

  beforeAll(async () => {
    lab = await Lab.create({ shape: each.shape, pair: true, ipv6: each.family === 6 });
    const config = join(lab.folder, 'lvs.yaml');
    const key = join(lab.folder, 'sync.key');
    writeFileSync(key, `${'5c'.repeat(32)}\n`, { mode: 0o600 });
    const text = readFileSync(conf(`ha/${each.yaml}`), 'utf8').replaceAll(':443', ':23');
    const keyed = text.replace('/etc/lvs/sync.key', key);
    const unkeyed = text.replace(/^ +(key-file|peers):.*\n/gm, '');
    // Without a key, connections are sent after 3 packets of the client, as by the kernel.
    writeFileSync(
      config,
      each.hasKey ? keyed : `${unkeyed}settings: { sync_threshold: 2, sync_period: 5 }\n`,
    );
    for (const [i, server] of lab.servers.entries()) {
      await startAgent(server, '--config', config);
      await startServers(server, i + 1);
    }
    const keepalived = each.keepalived === 'imported' ? await imported(lab) : conf(`ha/${each.keepalived}`);
    nodes = [lab.director, lab.host('vs2')].map((host) => new Node(host, config, keepalived, each.datapath));
    await Promise.all(nodes.map((node) => node.startDirector()));
    for (const node of nodes) node.startKeepalived();
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  const hasVip = `ip -o address show dev eth0 | grep -q ' ${vip}/'`;
  /** Resolves when keepalived has reported the state to the director. */
  const isReported = (node: Node, state: string) =>
    node.until(`curl -s ${WEB}/metrics | grep -q 'lvs_vrrp_state{.*name="lvs",state="${state}"} 1'`);
  /** Resolves with the master and the backup, when both have all connections that stay. A busy machine may exchange them. */
  const pairOf = async (): Promise<readonly [Node, Node]> => {
    for (const node of nodes)
      await node.until(
        `[ $(${ipvsadm.join(' ')} -Lnc | grep -c ESTABLISHED) -ge ${clients === undefined ? 0 : HELD} ]`,
      );
    const holders = async () => {
      const outcomes = await Promise.all(nodes.map(({ host }) => host.run(hasVip)));
      return outcomes.map(({ status }) => status === 0);
    };
    await expect.poll(async () => new Set(await holders()).size, { timeout: PATIENCE }).toBe(2);
    const pair = (await holders())[0] ? ([nodes[0]!, nodes[1]!] as const) : ([nodes[1]!, nodes[0]!] as const);
    await Promise.all([isReported(pair[0], 'MASTER'), isReported(pair[1], 'BACKUP')]);
    return pair;
  };
  /** What clients have seen since the last call. */
  const seen = async (event: string) => {
    const from = clients!.lines.length;
    clients!.write('\n');
    const line = await clients!.line(/^held/, PATIENCE * 2, from);
    if (process.env['LVS_PAIR_LIMIT_MS'] !== undefined)
      process.stdout.write(`${name}, ${each.datapath}, ${event}: ${line}\n`);
    return line;
  };
  const server = () =>
    lab.client.exec(`curl -gs --max-time 20 telnet://${vip.includes(':') ? `[${vip}]` : vip}:23 </dev/null`);
  const SURVIVE = new RegExp(`^held ${HELD} of ${HELD},`);
  /** A connection that began immediately before an accident is known to the lost director alone. */
  const UNHARMED = new RegExp(`${SURVIVE.source} new \\d+: 0 refused, 0 reset, 0 unanswered;`);

  /** Takes the VIP from the master by an event, restores it, and returns what clients have seen until the VIP had moved. */
  async function event(
    name: string,
    happen: (master: Node) => Promise<unknown>,
    restore: (node: Node) => unknown,
  ): Promise<string> {
    const [master, backup] = await pairOf();
    await happen(master);
    await backup.until(hasVip);
    await isReported(backup, 'MASTER');
    const line = await seen(name);
    await restore(master);
    await pairOf();
    expect(await server()).toBe(persistent);
    return line;
  }
  let persistent = '';
  const segment = (words: (port: string) => string) => async (node: Node) => {
    await lab.client.exec(`ip -n ${lab.namespace('segment')} link set ${words(node.host.name)}`);
  };
  const startDirectorOf = async (node: Node) => {
    await node.startDirector();
    if (!each.hasKey) return;
    const [, connections] = /connections=(\d+)/.exec(await node.director.line(/ bulk-received /)) ?? [];
    expect(Number(connections)).toBeGreaterThanOrEqual(HELD);
  };

  test('connections survive every change of the master, and new ones are answered after a planned one', async () => {
    await pairOf();
    clients = lab.client.spawn([...built('test/support/pair-client'), vip, '80', String(HELD), LIMIT_MS]);
    await clients.line(/^connected$/);
    await pairOf();
    persistent = await server();
    expect(persistent).toMatch(/^I am real server/);
    expect(await seen('before')).toMatch(UNHARMED);
    const stopped = await event(
      'keepalived stopped',
      ({ keepalived }) => keepalived.stop(),
      (node) => node.startKeepalived(),
    );
    expect(stopped).toMatch(UNHARMED);
    if (each.isComplete) await otherEvents();
    // Both nodes have the VIP now: clients follow the announcements of the new master.
    const [master, backup] = await pairOf();
    await master.killKeepalived();
    await backup.until(hasVip);
    expect(await seen('keepalived killed')).toMatch(SURVIVE);
    expect(await server()).toBe(persistent);
    // A keepalived that starts removes the VIP that the killed one has left.
    master.startKeepalived();
    await pairOf();
    expect(await seen('keepalived restarted')).toMatch(SURVIVE);
    expect(await server()).toBe(persistent);
  }, 600_000);

  async function otherEvents(): Promise<void> {
    const ended = await event('director stopped', ({ host }) => host.exec([...lvs, 'stop']), startDirectorOf);
    expect(ended).toMatch(UNHARMED);
    const killed = await event(
      'director killed',
      async (master) => {
        await master.director.stop('SIGKILL');
        await master.until(`! ${hasVip}`);
        expect(await master.host.exec(`cat ${READY}`)).toBe('1');
      },
      startDirectorOf,
    );
    expect(killed).toMatch(SURVIVE);
    const lost = await event(
      'link down',
      segment((port) => `${port} down`),
      segment((port) => `${port} up`),
    );
    expect(lost).toMatch(SURVIVE);
    const [{ host, director }] = await pairOf();
    expect(await host.exec([...lvs, 'top'])).toContain('lvs MASTER');
    expect(await host.exec(`curl -s ${WEB}/`)).toContain('VRRP instance lvs: <strong>MASTER</strong>');
    const { vrrp } = JSON.parse(await host.exec(`curl -s ${WEB}/api/v1/snapshot`)) as { vrrp: unknown };
    expect(vrrp).toMatchObject([{ type: 'INSTANCE', name: 'lvs', state: 'MASTER' }]);
    await director.line(/ vrrp-state instance=lvs state=MASTER /);
  }
});

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
    const text = readFileSync(keepalived, 'utf8').replace(/^\$DIRECTOR=.*$/m, `$DIRECTOR=${program}`);
    writeFileSync(this.#keepalived, text);
  }

  async startDirector(): Promise<void> {
    this.director = await startDirector(
      this.host,
      this.#config,
      ...['--datapath', this.#datapath, '--standby', '--ready-file', READY],
    );
  }

  startKeepalived(): void {
    const at = (name: string) => join(this.host.folder, name);
    this.keepalived = this.host.spawn([
      ...['keepalived', '--dont-fork', '--log-console', '--vrrp', '--config-id', this.host.name],
      ...['--use-file', this.#keepalived, '--pid', at('keepalived.pid'), '--vrrp_pid', at('vrrp.pid')],
    ]);
  }

  async killKeepalived(): Promise<void> {
    await this.host.exec(
      `kill -9 $(cat ${join(this.host.folder, 'keepalived.pid')} ${join(this.host.folder, 'vrrp.pid')})`,
    );
  }

  /** Resolves when a command succeeds here. */
  async until(command: string): Promise<void> {
    const { status } = await this.host.run(`until ${command}; do sleep 0.05; done`, { limit: PATIENCE });
    if (status !== 0) throw new Error(`${this.host.name}: not within ${PATIENCE} ms: ${command}`);
  }
}

describe.skipIf(why !== undefined).each([
  ['dr', process.env['LVS_DATAPATH'] ?? 'live'],
  ['nat', process.env['LVS_DATAPATH'] ?? 'tc'],
] as const)('%s with --datapath %s', (method, datapath) => {
  let lab: Lab;
  let nodes: readonly Node[];
  let clients: Program | undefined;

  beforeAll(async () => {
    lab = await Lab.create({ shape: method, pair: true });
    const config = join(lab.folder, 'lvs.yaml');
    const destinations = (
      method === 'dr' ? ['192.168.0.3', '192.168.0.4'] : ['192.168.1.3', '192.168.1.4']
    ).join(', ');
    writeFileSync(
      config,
      `method: ${method}
vips:
  - { interface: eth0, address: ${lab.vip}, prefix: 32 }
real-servers:
  ${method === 'dr' ? 'vip-device: lo' : 'gateway: 192.168.1.254'}
sync: { role: both, interface: eth0, syncid: 7 }
settings: { sync_threshold: 2, sync_period: 5 }
services:
  - { tcp: '${lab.vip}:80', scheduler: rr, destinations: [${destinations}] }
  - { tcp: '${lab.vip}:23', scheduler: rr, persistent: 600, destinations: [${destinations}] }
`,
    );
    for (const [i, server] of lab.servers.entries()) {
      await startAgent(server, '--config', config);
      await startServers(server, i + 1);
    }
    const keepalived = conf(`ha/${method}.conf`);
    nodes = [lab.director, lab.host('vs2')].map((host) => new Node(host, config, keepalived, datapath));
    await Promise.all(nodes.map((node) => node.startDirector()));
    for (const node of nodes) node.startKeepalived();
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  const hasVip = `ip -o address show dev eth0 | grep -q '192.168.0.101/32'`;
  /** Resolves when keepalived has reported the state to the director. */
  const isReported = (node: Node, state: string) =>
    node.until(`${lvs.join(' ')} top | grep -q 'lvs ${state}'`);
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
      process.stdout.write(`${method} ${datapath} ${event}: ${line}
`);
    return line;
  };
  const server = () => lab.client.exec(`curl -s --max-time 20 telnet://${lab.vip}:23 </dev/null`);
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
  const startDirectorOf = (node: Node) => node.startDirector();

  test('connections survive every change of the master, and new ones are answered after a planned one', async () => {
    await pairOf();
    clients = lab.client.spawn([...built('test/support/pair-client'), lab.vip, '80', String(HELD), LIMIT_MS]);
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
    // Both nodes have the VIP now: clients follow the gratuitous ARP of the new master.
    const [master, backup] = await pairOf();
    await master.killKeepalived();
    await backup.until(hasVip);
    expect(await seen('keepalived killed')).toMatch(SURVIVE);
    expect(await server()).toBe(persistent);
  }, 600_000);
});

/** A laboratory whose servers share addresses without a director. */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ClusterStatus } from '../../src/realserver/cluster/cluster-status.ts';
import { request } from '../../src/realserver/cluster/control.ts';
import { Lab } from './lab.ts';
import type { LabHost } from './lab-host.ts';
import { realserver, startServers } from './lvs-programs.ts';
import type { Program } from './program.ts';
import { built } from './project.ts';

export const VIP = '192.168.0.101';
export const VIP6 = 'fd00::101';
/** 200 addresses of clients in each family: beside those of the laboratory, and those that it leaves free. */
const COUNT = 200;
const addressOf = (i: number) =>
  i < 80 ? `192.168.0.${20 + i}` : `192.168.0.${i + 30 < 200 ? i + 30 : i + 31}`;
export const CLIENTS = Array.from({ length: COUNT }, (_, i) => addressOf(i));
export const CLIENTS6 = Array.from({ length: COUNT }, (_, i) => `fd00::20:${i.toString(16)}`);

export interface NlbOptions {
  readonly mac: string;
  readonly servers: number;
  /** Seconds; default 0.2. */
  readonly heartbeat?: number;
  /** Default: a host is lost after 2 seconds. */
  readonly missed?: number;
  /** Lines of the section, such as rules. */
  readonly lines?: readonly string[];
}

export class NlbCluster implements AsyncDisposable {
  readonly lab: Lab;
  readonly config: string;
  readonly agents: Program[] = [];
  readonly servers: Program[] = [];

  private constructor(lab: Lab) {
    this.lab = lab;
    this.config = join(lab.folder, 'lvs.yaml');
  }

  /** The servers run, and no agent. */
  static async create(servers: number): Promise<NlbCluster> {
    const lab = await Lab.create({ servers, ipv6: true, offloads: 'off' });
    const cluster = new NlbCluster(lab);
    const addresses = [
      ...CLIENTS.map((address) => `address add ${address}/24 dev eth0`),
      ...CLIENTS6.map((address) => `address add ${address}/64 dev eth0 nodad`),
    ];
    await lab.client.exec(['ip', '-batch', '-'], { input: `${addresses.join('\n')}\n` });
    // The servers' program listens at the addresses of the cluster before the agents add them.
    const anyAddress = ['net.ipv4.ip_nonlocal_bind=1', 'net.ipv6.ip_nonlocal_bind=1'];
    await Promise.all(lab.servers.map((host) => host.exec(['sysctl', '-qw', ...anyAddress])));
    cluster.servers.push(...(await Promise.all(lab.servers.map((_, i) => cluster.serve(i + 1)))));
    return cluster;
  }

  /** Writes the file of all hosts. */
  configure({
    mac,
    servers,
    heartbeat = 0.2,
    missed = Math.round(2 / heartbeat),
    lines = [],
  }: NlbOptions): void {
    const hosts = Array.from({ length: servers }, (_, i) => `    - { server: rs${i + 1}, id: ${i + 1} }`);
    const text = `mode: nlb
cluster:
  interface: eth0
  addresses: [${VIP}, '${VIP6}']
  mac: ${mac}
  heartbeat: ${heartbeat}
  missed: ${missed}
  key: a secret of this laboratory
  hosts:
${hosts.join('\n')}
${lines.map((line) => `  ${line}`).join('\n')}
`;
    writeFileSync(this.config, text);
  }

  /** Starts the servers' program of host rs<number>. */
  serve(number: number): Promise<Program> {
    return startServers(this.lab.servers[number - 1]!, number, [VIP, VIP6]);
  }

  /** Starts the agent of host rs<number>; all but that of rs1 have a wall clock that steps. */
  async start(number: number): Promise<void> {
    const host = this.lab.servers[number - 1]!;
    const clock = `NODE_OPTIONS=--import=${built('test/support/stepping-clock')[1]}`;
    const program = number === 1 ? realserver : ['env', clock, ...realserver];
    const agent = host.spawn([...program, 'run', '--config', this.config]);
    await agent.line(/: ready$/);
    this.agents[number - 1] = agent;
  }

  /** Starts the agents of the first hosts, and waits until they have converged. */
  async startAll(servers = this.lab.servers.length): Promise<void> {
    const names = this.lab.servers.slice(0, servers).map(({ name }) => name);
    await Promise.all(names.map((_, i) => this.start(i + 1)));
    await this.converged(...names);
  }

  /** Ends the agents at once. */
  async killAll(): Promise<void> {
    await Promise.all(this.agents.splice(0).map((agent) => agent.stop('SIGKILL')));
  }

  /** Resolves when the agents of these hosts have converged on them. */
  async converged(...names: readonly string[]): Promise<void> {
    const hosts = this.lab.servers.filter(({ name }) => names.includes(name));
    await Promise.all(
      hosts.map((host) =>
        this.until(host, ({ members, isConverged }) => isConverged && members.join() === names.join()),
      ),
    );
  }

  /** Resolves when the state of a host is as expected. */
  async until(host: LabHost, isExpected: (status: ClusterStatus) => boolean): Promise<void> {
    while (!isExpected(await this.status(host))) await new Promise((resolve) => setTimeout(resolve, 50));
  }

  /** Asks the agent itself, as `lvs-realserver status` does. */
  async status(host: LabHost): Promise<ClusterStatus> {
    const response = await request(socketOf(host), { command: 'status' });
    if ('status' in response) return response.status;
    throw new Error('no status of the agent');
  }

  /** Returns the name of the host that accepts a client, as `lvs-realserver explain` prints it. */
  async hostOf(host: LabHost, from: string, rule: string): Promise<string | undefined> {
    const response = await request(socketOf(host), { command: 'explain', from, port: 0, rule });
    return 'explanation' in response ? response.explanation.host : undefined;
  }

  /** Returns how many of these connections each server answered, or why none did. */
  async ask(...words: string[]): Promise<Record<string, number>> {
    return JSON.parse(await this.lab.client.exec([...built('test/support/cluster-clients'), ...words]));
  }

  command(host: LabHost, ...words: string[]): Promise<string> {
    return host.exec([...realserver, ...words]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.lab[Symbol.asyncDispose]();
  }
}

function socketOf({ folder }: LabHost): string {
  const run = join(folder, 'run');
  return join(run, readdirSync(run).find((name) => name.endsWith('.sock'))!);
}

export const from = (addresses: readonly string[]): string[] =>
  addresses.flatMap((address) => ['--from', address]);
export const sum = (counts: Record<string, number>): number =>
  Object.values(counts).reduce((a, b) => a + b, 0);
/** Reports whether every answer came from a server. */
export const answered = (counts: Record<string, number>): boolean =>
  Object.keys(counts).every((name) => /^real server #\d$/.test(name));

/** A real etcd cluster of three members on loopback ports, in a temporary folder. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EtcdClient, type EtcdOptions } from '../../src/etcd/client.ts';
import { lacking } from './debian.ts';
import { PATIENCE, Program } from './program.ts';

/** Reason why there can be no cluster; undefined: there can. */
export const etcdMissing = (): string | undefined =>
  lacking('/usr/bin/etcd', 'etcd-server') ?? lacking('/usr/bin/etcdctl', 'etcd-client');

export interface EtcdClusterOptions {
  /** 1 to 3. */
  readonly members?: number;
  /** More words of the command line of each member. */
  readonly words?: readonly string[];
  /** Files of certificates: clients use TLS. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
  readonly address?: string;
  /** Starts members elsewhere, such as in a network namespace, and runs commands there. */
  readonly host?: {
    spawn(argv: readonly string[]): Program;
    exec(argv: readonly string[]): Promise<string>;
  };
}

interface Ports {
  readonly client: number;
  readonly peer: number;
}

export class EtcdCluster implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'lvs-etcd-'));
  readonly endpoints: readonly string[];
  readonly members: (Program | undefined)[] = [];
  readonly #ports: readonly Ports[];
  readonly #options: EtcdClusterOptions;

  private constructor(ports: readonly Ports[], options: EtcdClusterOptions) {
    this.#ports = ports;
    this.#options = options;
    this.endpoints = ports.map(({ client }) => this.#url(client, options.tls !== undefined));
  }

  /** All members run, and answer. */
  static async start(options: EtcdClusterOptions = {}): Promise<EtcdCluster> {
    const count = options.members ?? 3;
    const free = await freePorts(count * 2);
    const ports = Array.from({ length: count }, (_, i) => ({ client: free[2 * i]!, peer: free[2 * i + 1]! }));
    const cluster = new EtcdCluster(ports, options);
    for (let i = 0; i < count; i++) cluster.startMember(i);
    if (!options.tls) await cluster.answers();
    return cluster;
  }

  #url(port: number, isSecure = false): string {
    return `${isSecure ? 'https' : 'http'}://${this.#options.address ?? '127.0.0.1'}:${port}`;
  }

  startMember(index: number): void {
    const { tls, words = [], host } = this.#options;
    const { client, peer } = this.#ports[index]!;
    const clientUrl = this.#url(client, tls !== undefined);
    const peerUrl = this.#url(peer);
    const secure = tls
      ? ['--cert-file', tls.cert, '--key-file', tls.key, '--client-cert-auth', '--trusted-ca-file', tls.ca]
      : [];
    const argv = [
      ...['etcd', '--name', `m${index}`, '--data-dir', join(this.folder, `m${index}`)],
      ...['--listen-client-urls', clientUrl, '--advertise-client-urls', clientUrl],
      ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
      ...['--initial-cluster', this.#initialCluster, '--initial-cluster-state', 'new', '--logger', 'zap'],
      ...['--log-level', 'error', '--auth-token', 'simple', ...secure, ...words],
    ];
    this.members[index] = host ? host.spawn(argv) : new Program(argv);
  }

  /** Writes a backup, and returns its path. */
  async save(): Promise<string> {
    const path = join(this.folder, 'backup');
    const argv = [
      'env',
      'ETCDCTL_API=3',
      'etcdctl',
      '--endpoints',
      this.endpoints[0]!,
      'snapshot',
      'save',
      path,
    ];
    await this.#exec(argv);
    return path;
  }

  /** Kills all members, and starts them with what a backup has. */
  async restore(path: string): Promise<void> {
    for (const index of this.members.keys()) {
      if (this.members[index]) await this.kill(index);
      const data = join(this.folder, `m${index}`);
      rmSync(data, { recursive: true });
      await this.#exec([
        ...['env', 'ETCDCTL_API=3', 'etcdctl', 'snapshot', 'restore', path, '--data-dir', data],
        ...['--name', `m${index}`, '--initial-cluster', this.#initialCluster],
        ...['--initial-advertise-peer-urls', this.#url(this.#ports[index]!.peer)],
      ]);
    }
    for (const index of this.members.keys()) this.startMember(index);
    await this.answers();
  }

  get #initialCluster(): string {
    return this.#ports.map((each, i) => `m${i}=${this.#url(each.peer)}`).join(',');
  }

  async #exec(argv: string[]): Promise<void> {
    const { host } = this.#options;
    if (host) await host.exec(argv);
    else execFileSync(argv[0]!, argv.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] });
  }

  async kill(index: number): Promise<void> {
    await this.members[index]!.stop('SIGKILL');
    this.members[index] = undefined;
  }

  /** Stops a member without ending it: it accepts connections, and answers nothing. */
  freeze(index: number): void {
    this.members[index]!.signal('SIGSTOP');
  }

  thaw(index: number): void {
    this.members[index]!.signal('SIGCONT');
  }

  client(options: Partial<EtcdOptions> = {}): EtcdClient {
    return new EtcdClient({ endpoints: this.endpoints, ...options });
  }

  /** Resolves when a majority answers. */
  async answers(options: Partial<EtcdOptions> = {}): Promise<void> {
    const { host } = this.#options;
    using client = this.client({ timeout: 1000, ...options });
    const deadline = Date.now() + PATIENCE;
    for (;;)
      try {
        if (host) await host.exec(this.ctlArgv('get', 'x'));
        else await client.range('x');
        return;
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await sleep(100);
      }
  }

  /** What etcdctl prints. `words`: of the command. */
  ctl(...words: string[]): string {
    const [file, ...args] = this.ctlArgv(...words);
    return execFileSync(file!, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }

  /** The command of etcdctl. */
  ctlArgv(...words: string[]): string[] {
    return ['env', 'ETCDCTL_API=3', 'etcdctl', '--endpoints', this.endpoints.join(','), ...words];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.members.map((member) => member?.stop('SIGKILL')));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Returns ports that no socket has at this moment. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve) => {
          const server = createServer().listen(0, '127.0.0.1', () => resolve(server));
        }),
    ),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

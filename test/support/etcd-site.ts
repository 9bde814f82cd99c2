/** Three directors that share their configuration in a real etcd of three members, which run on the router of the laboratory. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EtcdCluster } from './etcd-cluster.ts';
import { Lab } from './lab.ts';
import type { LabHost } from './lab-host.ts';
import { director, startServers } from './lvs-programs.ts';
import type { Outcome } from './namespaces.ts';
import { PATIENCE, type Program } from './program.ts';
import { built } from './project.ts';
import { type Seen, SteadyLoad } from './steady-load.ts';

/** Address of the router on the directors' segment. */
const ROUTER = '192.168.1.254';
export const SERVERS = ['192.168.1.3', '192.168.1.4', '192.168.1.5'] as const;

/** A director, and its settings of the cluster. */
export class ClusterDirector {
  readonly host: LabHost;
  readonly settings: string;
  readonly state: string;
  readonly #words: readonly string[];
  program!: Program;

  /** `words`: of `lvs-director run`. */
  constructor(host: LabHost, endpoints: readonly string[], words: readonly string[] = []) {
    this.host = host;
    this.#words = words;
    this.settings = join(host.folder, 'cluster.yaml');
    this.state = join(host.folder, 'state');
    mkdirSync(this.state, { mode: 0o700 });
    writeFileSync(
      this.settings,
      `cluster: web\nnode: ${host.name}\nendpoints: [${endpoints.join(', ')}]\nstate: ${this.state}\n`,
    );
  }

  /** Runs `lvs-director cluster`. */
  run(words: readonly string[], input = ''): Promise<Outcome> {
    return this.host.run([...director, 'cluster', words[0]!, '--file', this.settings, ...words.slice(1)], {
      input,
      limit: PATIENCE * 2,
    });
  }

  /** What `lvs-director cluster` prints. Throws if it fails. */
  async cluster(...words: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.run(words);
    if (status !== 0)
      throw new Error(`cluster ${words.join(' ')}: exit status ${status}\n${stdout}${stderr}`);
    return stdout.trimEnd();
  }

  /** Starts the director; resolves when it is ready. */
  async start(...words: string[]): Promise<void> {
    this.program = this.host.spawn([
      ...director,
      ...['run', '--cluster', this.settings, '--interface', 'eth0', '--connections', '20000'],
      ...['--metrics', ...this.#words, ...words],
    ]);
    await this.program.line(/ ready /);
  }
}

/** Times in ms until all directors had applied a change. */
export interface Changes {
  readonly changes: number;
  readonly lost: number;
  /** Attempts without a leader of etcd. */
  readonly refused: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface EtcdSiteOptions {
  /** Of each member of etcd. */
  readonly etcdWords?: readonly string[];
  readonly datapath?: string;
  /** Of `lvs-director run`. */
  readonly directorWords?: readonly string[];
}

export class EtcdSite implements AsyncDisposable {
  readonly lab: Lab;
  readonly etcd: EtcdCluster;
  readonly directors: readonly ClusterDirector[];
  clients: SteadyLoad | undefined;

  private constructor(lab: Lab, etcd: EtcdCluster, words: readonly string[]) {
    this.lab = lab;
    this.etcd = etcd;
    this.directors = ['vs1', 'vs2', 'vs3'].map(
      (name) => new ClusterDirector(lab.host(name), etcd.endpoints, words),
    );
  }

  /** etcd and the servers run; no director does. */
  static async create({
    etcdWords: words = [],
    datapath = process.env['LVS_DATAPATH'] ?? 'live',
    directorWords = [],
  }: EtcdSiteOptions = {}): Promise<EtcdSite> {
    const lab = await Lab.create({ shape: 'ecmp', servers: SERVERS.length });
    try {
      if (datapath === 'xdp') lab.pollPeers();
      const etcd = await EtcdCluster.start({ host: lab.host('router'), address: ROUTER, words });
      await Promise.all(
        lab.servers.map(async (server, i) => {
          await server.exec(`ip address add ${lab.vip}/32 dev lo`);
          await startServers(server, i + 1);
        }),
      );
      return new EtcdSite(lab, etcd, ['--datapath', datapath, ...directorWords]);
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Text of a configuration with these servers. */
  text(servers: readonly string[], more = ''): string {
    return `method: dr\nannounce: { rise: 0 }\n${more}services:\n  - tcp: ${this.lab.vip}:80\n    scheduler: rr\n    destinations: [${servers.join(', ')}]\n`;
  }

  /** Writes a file that a director may apply, and returns its path. */
  write(text: string, name = 'lvs.yaml'): string {
    const path = join(this.lab.folder, name);
    writeFileSync(path, text);
    return path;
  }

  /** Makes the cluster with a configuration, and starts all directors. */
  async form(text: string): Promise<void> {
    const [first] = this.directors;
    const token = await first!.cluster('init');
    for (const each of this.directors) {
      const { status, stderr } = await each.run(['join'], `${token}\n`);
      if (status !== 0) throw new Error(stderr);
    }
    await first!.cluster('apply', this.write(text));
    await Promise.all(this.directors.map((each) => each.start()));
  }

  /** Starts clients that hold `held` connections, and open new ones. The router spreads them over the directors. */
  async connect(held: number, perSecond: number): Promise<void> {
    const { lab } = this;
    const hops = this.directors.map(({ host }) => `nexthop via ${host.address}`).join(' ');
    await lab
      .host('router')
      .exec(`sysctl -qw net.ipv4.fib_multipath_hash_policy=3 net.ipv4.fib_multipath_hash_fields=0x37`);
    await lab.host('router').exec(`ip route replace ${lab.vip}/32 ${hops}`);
    const load = { vip: lab.vip, held, perSecond, limit: 10_000, interval: 200 };
    this.clients = await SteadyLoad.start(lab.client, load);
  }

  /** What clients have seen since the last call. */
  seen(): Promise<Seen> {
    return this.clients!.seen();
  }

  /** Applies `count` generations one after the other, these texts in turn, and returns what that took. */
  async changes(count: number, texts: readonly string[]): Promise<Changes> {
    const files = texts.map((text, i) => this.write(text, `change-${i}.yaml`));
    const words = [this.etcd.endpoints.join(','), 'web', String(count), ...files];
    const argv = [...built('test/support/cluster-changes'), ...words];
    return JSON.parse(await this.lab.host('router').exec(argv, { limit: 600_000 }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]();
    await this.etcd[Symbol.asyncDispose]();
  }
}

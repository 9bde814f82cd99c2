/** Three directors that share their configuration in a real etcd of three members, which run on the router of the laboratory. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EtcdCluster } from './etcd-cluster.ts';
import { Lab } from './lab.ts';
import type { LabHost } from './lab-host.ts';
import { director, startServers } from './lvs-programs.ts';
import type { Outcome } from './namespaces.ts';
import { PATIENCE, type Program } from './program.ts';

/** Address of the router on the directors' segment. */
const ROUTER = '192.168.1.254';
export const SERVERS = ['192.168.1.3', '192.168.1.4', '192.168.1.5'] as const;

/** A director, and its settings of the cluster. */
export class ClusterDirector {
  readonly host: LabHost;
  readonly settings: string;
  readonly state: string;
  program!: Program;

  constructor(host: LabHost, endpoints: readonly string[], more = '') {
    this.host = host;
    this.settings = join(host.folder, 'cluster.yaml');
    this.state = join(host.folder, 'state');
    mkdirSync(this.state, { mode: 0o700 });
    writeFileSync(
      this.settings,
      `cluster: web\nnode: ${host.name}\nendpoints: [${endpoints.join(', ')}]\nstate: ${this.state}\n${more}`,
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
      ...['--datapath', process.env['LVS_DATAPATH'] ?? 'live', '--metrics', ...words],
    ]);
    await this.program.line(/ ready /);
  }
}

export class EtcdSite implements AsyncDisposable {
  readonly lab: Lab;
  readonly etcd: EtcdCluster;
  readonly directors: readonly ClusterDirector[];

  private constructor(lab: Lab, etcd: EtcdCluster) {
    this.lab = lab;
    this.etcd = etcd;
    this.directors = ['vs1', 'vs2', 'vs3'].map((name) => new ClusterDirector(lab.host(name), etcd.endpoints));
  }

  /** etcd and the servers run; no director does. `words`: of each member of etcd. */
  static async create(words: readonly string[] = []): Promise<EtcdSite> {
    const lab = await Lab.create({ shape: 'ecmp', servers: SERVERS.length });
    try {
      const etcd = await EtcdCluster.start({ host: lab.host('router'), address: ROUTER, words });
      await Promise.all(
        lab.servers.map(async (server, i) => {
          await server.exec(`ip address add ${lab.vip}/32 dev lo`);
          await startServers(server, i + 1);
        }),
      );
      return new EtcdSite(lab, etcd);
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

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]();
    await this.etcd[Symbol.asyncDispose]();
  }
}

/** A whole virtual server in the laboratory: servers with their agents, and a director, by one configuration. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Lab, type LabOptions } from './lab.ts';
import type { LabHost } from './lab-host.ts';
import { conf, ipvsadm, startAgent, startDirector, startServers } from './lvs-programs.ts';
import { probeNamespaces } from './namespaces.ts';
import type { Program } from './program.ts';
import { notBuilt } from './project.ts';

export type Method = 'dr' | 'nat' | 'tunnel';

const FILES: Readonly<Record<Method, string>> = {
  dr: 'lvs.conf',
  nat: 'lvs-nat.conf',
  tunnel: 'lvs-tun.conf',
};

/** Why there can be no cluster here, or undefined. */
export function clusterMissing(): string | undefined {
  const missing = probeNamespaces();
  if (missing) return `${missing.what}: ${missing.why}`;
  return notBuilt('src/cli/director', 'src/cli/ipvsadm', 'src/cli/realserver', 'test/support/server');
}

export interface ClusterOptions extends LabOptions {
  readonly method: Method;
  /** Lines that follow the sample configuration of the method. */
  readonly more?: string;
  /** An lvs.yaml to be used instead. */
  readonly yaml?: string;
  /** Further words of `lvs-director run`. */
  readonly directorWords?: readonly string[];
  /** Where UDP echo binds on the servers, the VIP or by default the server's address. */
  readonly echo?: (server: LabHost) => string;
}

export class Cluster implements AsyncDisposable {
  readonly lab: Lab;
  readonly method: Method;
  readonly servers: Program[] = [];
  readonly agents: Program[] = [];
  director!: Program;
  /** Path of the configuration. */
  readonly config: string;

  readonly #echo: (server: LabHost) => string;

  readonly #directorWords: readonly string[];

  private constructor(lab: Lab, { method, more = '', yaml, echo, directorWords = [] }: ClusterOptions) {
    this.lab = lab;
    this.#directorWords = directorWords;
    this.method = method;
    this.config = join(lab.folder, yaml === undefined ? 'lvs.conf' : 'lvs.yaml');
    writeFileSync(this.config, yaml ?? `${readFileSync(conf(FILES[method]), 'utf8')}${more}`);
    // Under NAT a server knows its own address only.
    this.#echo = echo ?? ((server) => (method === 'nat' ? server.address : lab.vip));
  }

  static async create(options: ClusterOptions): Promise<Cluster> {
    const lab = await Lab.create({ shape: options.method, ...options });
    const cluster = new Cluster(lab, options);
    try {
      await cluster.#start();
      return cluster;
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const { lab } = this;
    const agents = lab.servers.map((host) => startAgent(host, '--config', this.config));
    this.agents.push(...(await Promise.all(agents)));
    const servers = lab.servers.map((host, i) => startServers(host, i + 1, [this.#echo(host)]));
    this.servers.push(...(await Promise.all(servers)));
    await this.startDirector();
  }

  /** Starts a director with other `words` of `lvs-director run`, or with the cluster's; the one before has to be gone. */
  async startDirector(words = this.#directorWords): Promise<void> {
    this.director = await startDirector(this.lab.director, this.config, ...words);
  }

  /** Replaces the configuration; the director reads it at a reload. */
  configure(text: string): void {
    writeFileSync(this.config, text);
  }

  /** What ipvsadm prints. */
  ipvsadm(...words: string[]): Promise<string> {
    return this.lab.director.exec([...ipvsadm, ...words]);
  }

  /** What the client gets from the URL's path. */
  async get(path = '/'): Promise<string> {
    return this.lab.client.exec(['curl', '-sS', '--max-time', '30', `http://${this.lab.vip}${path}`]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]();
  }
}

/**
 * The laboratory: client, director and real servers as network namespaces, gone again when the value is.
 *
 *   await using lab = await Lab.create();
 *   await lab.client.exec('ping -c 1 vs1');
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildLab } from './lab-build.ts';
import { LabHost } from './lab-host.ts';
import { type HostPlan, hostsFile, type LabOptions, plan, type Topology } from './lab-plan.ts';
import {
  type Ground,
  LAB_FILES,
  LAB_MEMORY,
  namesOf,
  openGround,
  probeNamespaces,
  removeNamespace,
  sweep,
} from './namespaces.ts';

export type { LabOptions } from './lab-plan.ts';

/** The file with the options of a laboratory. */
const OPTIONS = 'options.json';

/** Laboratories that this process has to take down before it ends. */
const living = new Set<Lab>();
let created = 0;

export class Lab implements AsyncDisposable {
  /** Part of the namespaces' names: lvs-<id>-<host>. */
  readonly id: string;
  readonly client: LabHost;
  readonly director: LabHost;
  readonly servers: readonly LabHost[];
  readonly hosts: readonly LabHost[];
  /** On no host until a program adds it. */
  readonly vip: string;
  readonly vip6: string;
  readonly #topology: Topology;
  readonly #ground: Ground;

  private constructor(id: string, topology: Topology, ground: Ground) {
    this.id = id;
    this.#topology = topology;
    this.#ground = ground;
    this.hosts = topology.hosts.map(
      ({ name, interfaces }: HostPlan) =>
        new LabHost({
          name,
          namespace: this.namespace(name),
          folder: join(LAB_FILES, id, name),
          memory: join(LAB_MEMORY, id, name),
          address: interfaces[0]!.address,
          prefix: ground.prefix,
        }),
    );
    this.client = this.host('client');
    this.director = this.host('vs1');
    this.servers = this.hosts.filter(({ name }) => /^rs\d+$/.test(name));
    this.vip = topology.vip;
    this.vip6 = topology.vip6;
  }

  /** Builds a laboratory; one with a `name` outlives this process, to be taken up again with `attach`. */
  static async create(options: LabOptions & { readonly name?: string } = {}): Promise<Lab> {
    const missing = probeNamespaces();
    if (missing) throw new Error(`${missing.what}: ${missing.why}`);
    sweep();
    const id = options.name ?? (created++ === 0 ? `${process.pid}` : `${process.pid}.${created - 1}`);
    const ground = await openGround();
    if (options.name !== undefined && !ground.shared) {
      await ground[Symbol.asyncDispose]();
      throw new Error('a laboratory that outlives its process needs root');
    }
    const lab = new Lab(id, plan(options), ground);
    if (options.name === undefined) takeDownAtExit(lab);
    try {
      for (const host of lab.hosts) host.furnish(hostsFile(lab.#topology));
      writeFileSync(join(lab.folder, OPTIONS), JSON.stringify(options));
      buildLab({
        topology: lab.#topology,
        offloads: options.offloads ?? 'on',
        prefix: lab.#ground.prefix,
        namespace: (name) => lab.namespace(name),
      });
      return lab;
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The laboratory that `create` made with this name, in whatever process; undefined: there is none. */
  static async attach(name: string): Promise<Lab | undefined> {
    const file = join(LAB_FILES, name, OPTIONS);
    if (namesOf((lab) => lab === name).length === 0 || !existsSync(file)) return undefined;
    return new Lab(name, plan(JSON.parse(readFileSync(file, 'utf8')) as LabOptions), await openGround());
  }

  /** The host of that name: client, vs1, rs1, router. */
  host(name: string): LabHost {
    const found = this.hosts.find((host) => host.name === name);
    if (found) return found;
    throw new Error(`no host ${name}; there are ${this.hosts.map((host) => host.name).join(', ')}`);
  }

  /** The laboratory's own files, gone with it. */
  get folder(): string {
    return join(LAB_FILES, this.id);
  }

  /** The namespace of a host or a segment. */
  namespace(name: string): string {
    return `lvs-${this.id}-${name}`;
  }

  /** Makes the directors' peers poll, as a veth has to that XDP sends to. */
  pollPeers(): void {
    const directors = this.#topology.hosts.filter(({ name }) => /^vs\d+$/.test(name));
    for (const { name, interfaces } of directors)
      for (const { segment } of interfaces)
        spawnSync('ip', [
          ...['netns', 'exec', this.namespace(segment)],
          ...['ethtool', '-K', name, 'gro', 'on', 'tx', 'off'],
        ]);
  }

  /** Takes everything down without waiting: for the way out of a process. */
  remove(): void {
    living.delete(this);
    for (const host of this.hosts) host.remove();
    for (const segment of this.#topology.segments)
      removeNamespace(this.namespace(segment), this.#ground.prefix);
    for (const folder of [this.folder, join(LAB_MEMORY, this.id)])
      rmSync(folder, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.stopPrograms()));
    this.remove();
    await this.#ground[Symbol.asyncDispose]();
  }
}

function takeDownAtExit(lab: Lab): void {
  living.add(lab);
  if (watching) return;
  watching = true;
  process.on('exit', () => {
    for (const left of living) left.remove();
  });
  for (const [signal, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
    ['SIGHUP', 1],
  ] as const)
    process.on(signal, () => {
      if (living.size > 0 || process.listenerCount(signal) === 1) process.exit(128 + number);
    });
}
let watching = false;

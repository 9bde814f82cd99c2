/** Three directors with BIRD behind a router that spreads connections over them, by the files of conf/bgp. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Lab } from './lab.ts';
import type { LabHost } from './lab-host.ts';
import { conf, director as lvs, startDirector, startServers } from './lvs-programs.ts';
import { PATIENCE, type Program } from './program.ts';
import { type Seen, SteadyLoad } from './steady-load.ts';

/** Addresses in the files of conf/bgp, and in the laboratory. */
const ADDRESSES: Readonly<Record<string, string>> = {
  '10.60.0.1': '192.168.1.254',
  '10.60.0.11': '192.168.1.11',
  '10.60.0.12': '192.168.1.12',
  '10.60.0.13': '192.168.1.13',
  '10.60.0.21': '192.168.1.3',
  '10.60.0.22': '192.168.1.4',
  '10.60.0.23': '192.168.1.5',
};
/** Packets of BFD, one every 100 ms, that may be missing, and the hold time: a busy machine stalls for longer than a router does. */
const MULTIPLIER = process.env['LVS_SCALE_BFD'] ?? '255';
const HOLD_S = 90;
export const BIRD_SOCKET = '/run/lvs/bird.ctl';

const translated = (text: string): string =>
  text
    .replace(/\b10\.60\.0\.\d+\b/g, (address) => ADDRESSES[address]!)
    .replace('log syslog all;', 'log stderr all;')
    .replace('/run/bird/bird.ctl', BIRD_SOCKET)
    .replace('hold time 9;', `hold time ${HOLD_S};`)
    .replace('multiplier 3;', `multiplier ${MULTIPLIER};`);

/** A director with its BIRD. */
export class EcmpNode {
  readonly host: LabHost;
  readonly config: string;
  readonly #words: readonly string[];
  readonly #birdConfig: string;
  director!: Program;
  bird!: Program;

  constructor(host: LabHost, words: readonly string[]) {
    this.host = host;
    this.#words = words;
    this.config = join(host.folder, 'lvs.yaml');
    this.#birdConfig = join(host.folder, 'bird.conf');
    const text = translated(readFileSync(conf('bgp/bird.conf'), 'utf8'));
    writeFileSync(this.#birdConfig, text.replaceAll(ADDRESSES['10.60.0.11']!, host.address));
  }

  /** Changes bird.conf. */
  editBird(change: (text: string) => string): void {
    writeFileSync(this.#birdConfig, change(readFileSync(this.#birdConfig, 'utf8')));
  }

  startBird(): void {
    this.bird = this.host.spawn(['bird', '-f', '-c', this.#birdConfig, '-s', BIRD_SOCKET]);
  }

  async start(): Promise<void> {
    this.director = await startDirector(this.host, this.config, '--connections', '20000', ...this.#words);
  }

  /** What a command of lvs-director prints. */
  command(...words: string[]): Promise<string> {
    return this.host.exec([...lvs, ...words]);
  }
}

export class EcmpSite implements AsyncDisposable {
  readonly lab: Lab;
  readonly nodes: readonly EcmpNode[];
  readonly router: LabHost;
  clients: SteadyLoad | undefined;

  private constructor(lab: Lab, words: readonly string[]) {
    this.lab = lab;
    this.router = lab.host('router');
    this.nodes = ['vs1', 'vs2', 'vs3'].map((name) => new EcmpNode(lab.host(name), words));
  }

  /** The servers, the router and BIRD run, and no director. `words`: of `lvs-director run`. */
  static async create(words: readonly string[]): Promise<EcmpSite> {
    const lab = await Lab.create({ shape: 'ecmp', servers: 3 });
    const site = new EcmpSite(lab, words);
    try {
      await Promise.all(
        lab.servers.map(async (server, i) => {
          await server.exec(`ip address add ${lab.vip}/32 dev lo`);
          await startServers(server, i + 1);
        }),
      );
      const routerConfig = join(site.router.folder, 'bird.conf');
      writeFileSync(routerConfig, translated(readFileSync(conf('bgp/router.conf'), 'utf8')));
      site.router.spawn(['bird', '-f', '-c', routerConfig, '-s', BIRD_SOCKET]);
      for (const node of site.nodes) node.startBird();
      return site;
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Writes lvs.yaml of all directors. `change`: of the example. */
  configure(change: (text: string) => string): void {
    const text = change(translated(readFileSync(conf('bgp/lvs.yaml'), 'utf8')));
    for (const { config } of this.nodes) writeFileSync(config, text);
  }

  /** Resolves when the router has that many routes to the VIP. */
  async routes(count: number): Promise<void> {
    const counted = `ip route show ${this.lab.vip} | grep -o 'via ' | wc -l`;
    const command = `until [ "$(${counted})" = ${count} ]; do sleep 0.01; done`;
    const { status } = await this.router.run(command, { limit: PATIENCE });
    if (status === 0) return;
    const birds = await Promise.all(
      this.nodes.map(({ host }) => host.run(`birdc -s ${BIRD_SOCKET} show protocols`)),
    );
    throw new Error(
      `the router has not ${count} routes:\n${(await this.router.exec('ip route')).trim()}\n${birds.map(({ stdout }) => stdout).join('\n')}`,
    );
  }

  /** Interrupts the cable of a director, or connects it again. The director sees a link all the time. */
  async setLink({ host }: EcmpNode, state: 'up' | 'down'): Promise<void> {
    const segment = this.lab.namespace('inside');
    // A port that does not forward drops frames, and leaves the carrier of the other end.
    await this.router.exec(
      `ip -n ${segment} link set ${host.name} ${state === 'up' ? 'master br0' : 'nomaster'}`,
    );
  }

  /** Starts clients that hold `held` connections, and open new ones. */
  async connect(held: number, perSecond: number): Promise<void> {
    const load = { vip: this.lab.vip, held, perSecond, limit: 10_000, interval: 500 };
    this.clients = await SteadyLoad.start(this.lab.client, load);
  }

  /** What clients have seen since the last call. */
  seen(): Promise<Seen> {
    return this.clients!.seen();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]();
  }
}

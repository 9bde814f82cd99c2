/** Three directors with BIRD behind a router that spreads connections over them, by the files of conf/bgp. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Lab } from './lab.ts';
import type { LabHost } from './lab-host.ts';
import { conf, director as lvs, startDirector, startServers } from './lvs-programs.ts';
import { PATIENCE, type Program } from './program.ts';
import { type Seen, SteadyLoad } from './steady-load.ts';

/** Addresses in the files of conf/bgp, and in the laboratory. */
const NUMBERS: Readonly<Record<string, string>> = {
  '1': '254',
  '11': '11',
  '12': '12',
  '13': '13',
  '21': '3',
  '22': '4',
  '23': '5',
};
/** Number of the first director in the files. */
const FIRST_NUMBER = '11';
export type Family = 'IPv4' | 'IPv6';

/** Packets of BFD, one every 100 ms, that may be missing, and the hold time: a busy machine stalls for longer than a router does. */
const MULTIPLIER = process.env['LVS_SCALE_BFD'] ?? '255';
const HOLD_S = 90;
export const BIRD_SOCKET = '/run/lvs/bird.ctl';

/** Returns the text with the addresses of the laboratory. */
const translated = (text: string): string =>
  text
    .replace(/\b10\.60\.0\.(\d+)\b/g, (_, number: string) => `192.168.1.${NUMBERS[number]}`)
    .replace(/\b2001:db8:60::(\d+)\b/g, (_, number: string) => `fd00:0:0:1::${NUMBERS[number]}`)
    .replaceAll('2001:db8:99::', 'fd00:0:0:99::')
    .replace('log syslog all;', 'log stderr all;')
    .replace('/run/bird/bird.ctl', BIRD_SOCKET)
    .replaceAll('hold time 9;', `hold time ${HOLD_S};`)
    .replace('multiplier 3;', `multiplier ${MULTIPLIER};`);

/** Returns lvs.yaml with the addresses of IPv6. */
const overIpv6 = (text: string): string =>
  text
    .replace(/10\.99\.0\.(\d+):80/g, "'[fd00:0:0:99::$1]:80'")
    .replace(/192\.168\.1\.(\d+)/g, "'[fd00:0:0:1::$1]'");

/** Returns files of conf/bgp as one, with the addresses of the laboratory. */
export const filesOf = (names: readonly string[]): string =>
  names.map((name) => translated(readFileSync(conf(`bgp/${name}`), 'utf8'))).join('');

/** A director with its BIRD. */
export class EcmpNode {
  readonly host: LabHost;
  readonly config: string;
  readonly #words: readonly string[];
  readonly #birdConfig: string;
  director!: Program;
  bird!: Program;

  /** `files`: of conf/bgp, that make bird.conf. */
  constructor(host: LabHost, words: readonly string[], files: readonly string[]) {
    this.host = host;
    this.#words = words;
    this.config = join(host.folder, 'lvs.yaml');
    this.#birdConfig = join(host.folder, 'bird.conf');
    const number = host.address.slice(host.address.lastIndexOf('.') + 1);
    const own = new RegExp(`\\b(192\\.168\\.1\\.|fd00:0:0:1::)${FIRST_NUMBER}\\b`, 'g');
    writeFileSync(this.#birdConfig, filesOf(files).replace(own, `$1${number}`));
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
  readonly vip: string;
  readonly #family: Family;
  clients: SteadyLoad | undefined;

  private constructor(lab: Lab, words: readonly string[], family: Family) {
    this.lab = lab;
    this.router = lab.host('router');
    this.#family = family;
    this.vip = family === 'IPv6' ? lab.vip6 : lab.vip;
    const files = ['bird.conf', ...(family === 'IPv6' ? ['bird6.conf'] : [])];
    this.nodes = ['vs1', 'vs2', 'vs3'].map((name) => new EcmpNode(lab.host(name), words, files));
  }

  /** The servers, the router and BIRD run, and no director. `words`: of `lvs-director run`. `family`: that of the VIP. */
  static async create(words: readonly string[], family: Family = 'IPv4'): Promise<EcmpSite> {
    const lab = await Lab.create({ shape: 'ecmp', servers: 3, ipv6: family === 'IPv6' });
    const site = new EcmpSite(lab, words, family);
    try {
      if (words.includes('xdp')) lab.pollPeers();
      await Promise.all(
        lab.servers.map(async (server, i) => {
          await server.exec(`ip address add ${site.vip} dev lo`);
          await startServers(server, i + 1);
        }),
      );
      const routerConfig = join(site.router.folder, 'bird.conf');
      writeFileSync(routerConfig, filesOf(['router.conf', ...(family === 'IPv6' ? ['router6.conf'] : [])]));
      site.router.spawn(['bird', '-f', '-c', routerConfig, '-s', BIRD_SOCKET]);
      for (const node of site.nodes) node.startBird();
      return site;
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Writes lvs.yaml of all directors. `change`: of the example, which has the VIP and three servers. */
  configure(change: (text: string) => string): void {
    const text = change(this.#family === 'IPv6' ? overIpv6(filesOf(['lvs.yaml'])) : filesOf(['lvs.yaml']));
    for (const { config } of this.nodes) writeFileSync(config, text);
  }

  /** Resolves when the router has that many routes to the VIP. */
  async routes(count: number, vip = this.vip): Promise<void> {
    const counted = `ip ${vip.includes(':') ? '-6' : '-4'} route show ${vip} | grep -o 'via ' | wc -l`;
    const command = `until [ "$(${counted})" = ${count} ]; do sleep 0.01; done`;
    const { status } = await this.router.run(command, { limit: PATIENCE });
    if (status === 0) return;
    const birds = await Promise.all(
      this.nodes.map(({ host }) => host.run(`birdc -s ${BIRD_SOCKET} show protocols`)),
    );
    throw new Error(
      `the router has not ${count} routes:\n${(await this.router.exec('ip route; ip -6 route')).trim()}\n${birds.map(({ stdout }) => stdout).join('\n')}`,
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
    const load = { vip: this.vip, held, perSecond, limit: 10_000, interval: 500 };
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

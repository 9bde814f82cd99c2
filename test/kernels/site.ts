/**
 * The laboratory of the checks: a client, a director and a real server, with a service for each forwarding method and device.
 * By emulation a program takes 5 to 20 s to start, so all checks share it, and a director stays until another datapath
 * is needed.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { contentHash } from '../support/content.ts';
import { Lab } from '../support/lab.ts';
import { NO_OFFLOADS } from '../support/lab-build.ts';
import { startAgent, startDirector, startServers } from '../support/lvs-programs.ts';
import type { Program } from '../support/program.ts';

export type DatapathName = 'live' | 'tc' | 'xdp';

/** The VIP of each service. */
export const VIPS = {
  nat: '192.168.0.101',
  dr: '192.168.0.102',
  tunnel: '192.168.0.103',
  tunnel6: 'fd00::103',
  vlan: '10.5.0.101',
} as const;
export type ServiceName = keyof typeof VIPS;

/** The VLAN interface of client and director. */
export const VLAN = 'eth0.5';
const VLAN_ID = 5;
const VLAN_ADDRESSES = { client: '10.5.0.200/24', vs1: '10.5.0.1/24' } as const;

const DOWNLOAD_BYTES = 1_000_000;

/** Whose VIP is on the VLAN: a device that takes no XDP program. */
const WITH_VLAN: readonly ServiceName[] = ['nat', 'dr', 'tunnel', 'tunnel6', 'vlan'];
const WITHOUT_VLAN = WITH_VLAN.filter((name) => name !== 'vlan');

const isV6 = (address: string): boolean => address.includes(':');
const inUrl = (address: string): string => (isV6(address) ? `[${address}]` : address);

/** Returns an lvs.yaml. The real server is 192.168.1.3 behind the director, and 192.168.0.3 beside it. */
function configuration(names: readonly ServiceName[]): string {
  const vip = (name: ServiceName) =>
    `  - { interface: ${name === 'vlan' ? VLAN : 'eth0'}, address: '${VIPS[name]}', prefix: ${isV6(VIPS[name]) ? 64 : 24} }\n`;
  const service = (name: ServiceName) => {
    const method = name === 'vlan' ? 'nat' : name === 'tunnel6' ? 'tunnel' : name;
    const server = method === 'nat' ? '192.168.1.3' : '192.168.0.3';
    return `  - { tcp: '${inUrl(VIPS[name])}:80', method: ${method}, destinations: ['${server}'] }\n`;
  };
  return `
vips:
${names.map(vip).join('')}
director:
  inside: { interface: eth1, address: 192.168.1.1, prefix: 24 }
real-servers: { gateway: 192.168.1.1, vip-device: dummy0, net-device: eth0 }
services:
${names.map(service).join('')}`;
}

export class Site implements AsyncDisposable {
  readonly lab: Lab;
  /** The configuration with all services. */
  readonly file: string;
  #agent: Program | undefined;
  #director: Program | undefined;
  #datapath: DatapathName | undefined;
  #isPrepared = false;

  private constructor(lab: Lab) {
    this.lab = lab;
    this.file = join(lab.folder, 'lvs.yaml');
  }

  static async open(): Promise<Site> {
    const site = new Site(await Lab.create({ shape: 'all', servers: 1, ipv6: true }));
    await site.#furnish();
    return site;
  }

  /** Gives client and director an interface on the VLAN, and starts the real server. */
  async #furnish(): Promise<void> {
    const { lab } = this;
    writeFileSync(this.file, configuration(WITH_VLAN));
    writeFileSync(this.#fileWithoutVlan, configuration(WITHOUT_VLAN));
    for (const name of ['client', 'vs1'] as const)
      await lab
        .host(name)
        .exec(
          `ip link add link eth0 name ${VLAN} type vlan id ${VLAN_ID} && ip link set ${VLAN} up && ip address add ${VLAN_ADDRESSES[name]} dev ${VLAN}`,
        );
    await Promise.all([this.restartAgent(), startServers(lab.servers[0]!, 1)]);
  }

  get #fileWithoutVlan(): string {
    return join(this.lab.folder, 'without-vlan.yaml');
  }

  /** Starts the agent of the real server; one that runs ends first. */
  async restartAgent(): Promise<void> {
    await this.stopAgent();
    this.#agent = await startAgent(this.lab.servers[0]!, '--config', this.file);
  }

  async stopAgent(): Promise<void> {
    await this.#agent?.stop();
  }

  /** Returns the director by `datapath`: the one that runs, or a new one. */
  async director(datapath: DatapathName): Promise<Program> {
    if (this.#director?.running && this.#datapath === datapath) return this.#director;
    await this.stopDirector();
    if (datapath === 'xdp') await this.#prepareForXdp();
    const file = datapath === 'xdp' ? this.#fileWithoutVlan : this.file;
    this.#datapath = datapath;
    this.#director = await startDirector(this.lab.director, file, '--datapath', datapath);
    return this.#director;
  }

  async stopDirector(): Promise<void> {
    if (this.#director?.running) await this.#director.stop();
  }

  /**
   * XDP sees packets before the sender's kernel computes checksums and cuts segments. It redirects to a veth only where
   * the other end polls, which that does with GRO.
   */
  async #prepareForXdp(): Promise<void> {
    if (this.#isPrepared) return;
    this.#isPrepared = true;
    const { lab } = this;
    const command = `for path in /sys/class/net/eth[01]; do ethtool -K $(basename $path) ${NO_OFFLOADS.join(' ')}; done`;
    await Promise.all(lab.hosts.map((each) => each.exec(command)));
    for (const segment of ['segment', 'inside'])
      spawnSync('ip', [
        ...['netns', 'exec', lab.namespace(segment)],
        ...['ethtool', '-K', lab.director.name, 'gro', 'on', 'tx', 'off'],
      ]);
  }

  /** Throws when the client does not get what the server sends. */
  async download(name: ServiceName): Promise<void> {
    const url = `http://${inUrl(VIPS[name])}/big?octets=${DOWNLOAD_BYTES}`;
    const sum = await this.lab.client.exec(`curl -sS -g --max-time 150 '${url}' | sha256sum`);
    if (sum !== `${contentHash(DOWNLOAD_BYTES)}  -`) throw new Error(`${url}: the content differs: ${sum}`);
  }

  /** Packets that the kernel's program has left to the director. */
  async upcalls(): Promise<number> {
    return Number(await this.lab.director.exec('cat /sys/class/net/lvs-upcall/statistics/tx_packets'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]();
  }
}

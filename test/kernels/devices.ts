/** Checks devices that Debian's kernels have and others may lack: VLAN and dummy. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Cluster } from '../support/cluster.ts';
import { Lab } from '../support/lab.ts';
import { director, startAgent, startDirector, startServers } from '../support/lvs-programs.ts';
import { type Check, sharing } from './check.ts';
import { configuration } from './configuration.ts';
import { download } from './downloads.ts';

const VLAN = 'eth0.5';
const VLAN_ID = 5;
const VLAN_VIP = '10.5.0.101';
const VLAN_ADDRESSES = { client: '10.5.0.200/24', vs1: '10.5.0.1/24' } as const;

export function deviceChecks(): Check[] {
  return [
    ...sharing(openVlan, [
      ...(['live', 'tc'] as const).map((datapath) => ({
        name: `VLAN: ${datapath}, nat, VIP on ${VLAN}`,
        run: (site: VlanSite) => downloadOverVlan(site, datapath),
      })),
      { name: `VLAN: xdp is refused on ${VLAN}, with the reason`, run: xdpOnVlan },
    ]),
    { name: 'dummy: the VIP of a real server on dummy0', run: vipOnDummy },
  ];
}

/** A laboratory whose VIP is on a VLAN, with its real server. */
class VlanSite implements AsyncDisposable {
  readonly lab: Lab;
  readonly file: string;

  constructor(lab: Lab) {
    this.lab = lab;
    this.file = join(lab.folder, 'lvs.yaml');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]();
  }
}

/** Gives client and director an interface on the VLAN, and starts the real server. */
async function openVlan(): Promise<VlanSite> {
  const lab = await Lab.create({ shape: 'nat', servers: 1 });
  const site = new VlanSite(lab);
  for (const name of ['client', 'vs1'] as const)
    await lab
      .host(name)
      .exec(
        `ip link add link eth0 name ${VLAN} type vlan id ${VLAN_ID} && ip link set ${VLAN} up && ip address add ${VLAN_ADDRESSES[name]} dev ${VLAN}`,
      );
  const at = { method: 'nat', vip: VLAN_VIP, server: '192.168.1.3', interface: VLAN } as const;
  writeFileSync(site.file, configuration(at));
  await Promise.all([startAgent(lab.servers[0]!, '--config', site.file), startServers(lab.servers[0]!, 1)]);
  return site;
}

async function downloadOverVlan({ lab, file }: VlanSite, datapath: 'live' | 'tc'): Promise<string> {
  await using _director = await startDirector(lab.director, file, '--datapath', datapath);
  await download(lab.client, VLAN_VIP);
  return 'as it was sent';
}

/** Only drivers of cards and veth take XDP programs; the message has to name the interface and the kernel's error. */
async function xdpOnVlan({ lab, file }: VlanSite): Promise<string> {
  const program = lab.director.spawn([...director, 'run', '--config', file, '--datapath', 'xdp']);
  const line = await program.line(new RegExp(`xdp at ${VLAN}: .*(EOPNOTSUPP|ENOTSUP)`));
  await program.ended;
  return line;
}

async function vipOnDummy(): Promise<string> {
  const vip = '192.168.0.101';
  await using cluster = await Cluster.create({
    method: 'dr',
    servers: 1,
    yaml: configuration({ method: 'dr', vip, server: '192.168.0.3', vipDevice: 'dummy0' }),
  });
  const { lab } = cluster;
  const address = await lab.servers[0]!.exec('ip -o address show dev dummy0');
  if (!address.includes(`${vip}/32`)) throw new Error(`expected ${vip}/32 on dummy0: ${address}`);
  await download(lab.client, vip);
  return 'as it was sent';
}

/** Checks that real downloads pass by every datapath with every forwarding method. */
import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { Cluster, type Method } from '../support/cluster.ts';
import { contentHash } from '../support/content.ts';
import type { LabHost } from '../support/lab-host.ts';
import { type Check, Skipped } from './check.ts';
import { configuration, host } from './configuration.ts';

const VIP = '192.168.0.101';
const VIP6 = 'fd00::101';
const SERVERS: Readonly<Record<Method, string>> = {
  dr: '192.168.0.3',
  nat: '192.168.1.3',
  tunnel: '192.168.2.3',
};
const DOWNLOAD_BYTES = 1_000_000;
/** Packets of a download that may pass through the director's process although the kernel forwards the connection. */
const MAX_UPCALLS = 100;

type DatapathName = 'live' | 'tc' | 'xdp';

export function downloadChecks(): Check[] {
  const methods = ['nat', 'dr', 'tunnel'] as const;
  const datapaths = ['live', 'tc', 'xdp'] as const;
  return [
    // The agent uses the kernel's ipip device in these, and its own program or sockets in those below.
    ...methods.flatMap((method) => datapaths.map((datapath) => downloadCheck(datapath, method))),
    {
      name: 'download: tc, tunnel to the program of lvs-realserver',
      run: () => withoutIpipDevice(() => downloadBy('tc', 'tunnel')),
    },
    {
      name: 'download: tc, IPv6 in an IPv4 tunnel to the program of lvs-realserver',
      run: () => withoutIpipDevice(() => downloadBy('tc', 'tunnel', VIP6)),
    },
  ];
}

const downloadCheck = (datapath: DatapathName, method: Method): Check => ({
  name: `download: ${datapath}, ${method}`,
  run: () => downloadBy(datapath, method),
});

async function downloadBy(datapath: DatapathName, method: Method, vip = VIP): Promise<string> {
  await using cluster = await openCluster(datapath, method, vip);
  await download(cluster.lab.client, vip);
  if (datapath === 'live') return 'as it was sent';
  const upcalls = await upcallsOf(cluster);
  if (upcalls > MAX_UPCALLS)
    throw new Error(`${upcalls} packets passed through the director: expected at most ${MAX_UPCALLS}`);
  return `as it was sent, ${upcalls} packets through the director`;
}

/** Starts a laboratory with one real server, its agent and a director by `datapath`. */
export async function openCluster(datapath: DatapathName, method: Method, vip = VIP): Promise<Cluster> {
  const cluster = await Cluster.create({
    method,
    servers: 1,
    ipv6: vip === VIP6,
    // XDP sees packets before the sender's kernel computed their checksums.
    offloads: datapath === 'xdp' ? 'off' : 'on',
    yaml: configuration({ method, vip, server: SERVERS[method] }),
    directorWords: ['--datapath', datapath],
    ...(vip === VIP6 ? { echo: () => vip } : {}),
  });
  if (datapath === 'xdp') pollPeers(cluster);
  return cluster;
}

/** Throws when the client does not get what the server sends. */
export async function download(client: LabHost, vip = VIP): Promise<void> {
  const url = `http://${host(vip)}/big?octets=${DOWNLOAD_BYTES}`;
  const sum = await client.exec(`curl -sS -g --max-time 50 '${url}' | sha256sum`);
  if (sum !== `${contentHash(DOWNLOAD_BYTES)}  -`) throw new Error(`${url}: the content differs: ${sum}`);
}

async function upcallsOf({ lab }: Cluster): Promise<number> {
  return Number(await lab.director.exec('cat /sys/class/net/lvs-upcall/statistics/tx_packets'));
}

/** A veth that packets are redirected to has to poll, which it does with GRO. */
function pollPeers({ lab }: Cluster): void {
  for (const segment of ['segment', 'inside', 'far'])
    spawnSync('ip', [
      ...['netns', 'exec', lab.namespace(segment)],
      ...['ethtool', '-K', lab.director.name, 'gro', 'on', 'tx', 'off'],
    ]);
}

/** A rule of modprobe.d(5) by which the kernel gets no ipip device. */
const RULE = '/etc/modprobe.d/lvs-kernels.conf';

async function withoutIpipDevice(run: () => Promise<string>): Promise<string> {
  writeFileSync(RULE, 'install ipip /bin/false\n');
  const { status, stderr } = spawnSync('modprobe', ['-r', 'ipip'], { encoding: 'utf8' });
  try {
    if (status !== 0) throw new Skipped(`cannot remove the ipip device: ${stderr}`);
    return await run();
  } finally {
    rmSync(RULE);
  }
}

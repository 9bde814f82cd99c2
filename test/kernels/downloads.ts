/** Checks that real downloads pass by every datapath with every forwarding method. */
import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { Cluster, type Method } from '../support/cluster.ts';
import { contentHash } from '../support/content.ts';
import { NO_OFFLOADS } from '../support/lab-build.ts';
import type { LabHost } from '../support/lab-host.ts';
import { type Check, Skipped, sharing } from './check.ts';
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

/** The agent uses the kernel's ipip device in these. */
export const downloadChecks = (): Check[] => (['nat', 'dr', 'tunnel'] as const).flatMap(downloadsBy);

/** The agent uses its program or sockets in these. */
export const decapsulationChecks = (): Check[] => [
  {
    name: 'download: tc, tunnel to the program of lvs-realserver',
    run: () => withoutIpipDevice(() => downloadOnce('tc', 'tunnel', VIP)),
  },
  {
    name: 'download: tc, IPv6 in an IPv4 tunnel to the program of lvs-realserver',
    // The director encapsulates these: an outer IPv4 header without DF needs a unique identification (RFC 6864).
    run: () => withoutIpipDevice(() => downloadOnce('tc', 'tunnel', VIP6, Number.POSITIVE_INFINITY)),
  },
];

/** One laboratory serves all datapaths, one director after the other. XDP is last, because it needs changed interfaces. */
const downloadsBy = (method: Method): Check[] =>
  sharing(
    () => openCluster('live', method),
    (['live', 'tc', 'xdp'] as const).map((datapath) => ({
      name: `download: ${datapath}, ${method}`,
      run: async (cluster: Cluster) => {
        if (datapath !== 'live') {
          await cluster.director.stop();
          if (datapath === 'xdp') await prepareForXdp(cluster);
          await cluster.startDirector(['--datapath', datapath]);
        }
        return await downloadBy(datapath, cluster);
      },
    })),
  );

async function downloadOnce(
  datapath: DatapathName,
  method: Method,
  vip: string,
  maxUpcalls = MAX_UPCALLS,
): Promise<string> {
  await using cluster = await openCluster(datapath, method, vip);
  return await downloadBy(datapath, cluster, vip, maxUpcalls);
}

async function downloadBy(
  datapath: DatapathName,
  cluster: Cluster,
  vip = VIP,
  maxUpcalls = MAX_UPCALLS,
): Promise<string> {
  await download(cluster.lab.client, vip);
  if (datapath === 'live') return 'as it was sent';
  const upcalls = await upcallsOf(cluster);
  if (upcalls > maxUpcalls)
    throw new Error(`${upcalls} packets passed through the director: expected at most ${maxUpcalls}`);
  return `as it was sent, ${upcalls} packets through the director`;
}

/** Starts a laboratory with one real server, its agent and a director by `datapath`. */
export const openCluster = (datapath: DatapathName, method: Method, vip = VIP): Promise<Cluster> =>
  Cluster.create({
    method,
    servers: 1,
    ipv6: vip === VIP6,
    yaml: configuration({ method, vip, server: SERVERS[method] }),
    directorWords: ['--datapath', datapath],
    ...(vip === VIP6 ? { echo: () => vip } : {}),
  });

/** Throws when the client does not get what the server sends. */
export async function download(client: LabHost, vip = VIP): Promise<void> {
  const url = `http://${host(vip)}/big?octets=${DOWNLOAD_BYTES}`;
  const sum = await client.exec(`curl -sS -g --max-time 150 '${url}' | sha256sum`);
  if (sum !== `${contentHash(DOWNLOAD_BYTES)}  -`) throw new Error(`${url}: the content differs: ${sum}`);
}

async function upcallsOf({ lab }: Cluster): Promise<number> {
  return Number(await lab.director.exec('cat /sys/class/net/lvs-upcall/statistics/tx_packets'));
}

/**
 * XDP sees packets before the sender's kernel computes checksums and cuts segments. It redirects to a veth only where
 * the other end polls, which that does with GRO.
 */
async function prepareForXdp({ lab }: Cluster): Promise<void> {
  await Promise.all(
    lab.hosts.map((each) =>
      each.exec(
        `for path in /sys/class/net/eth*; do ethtool -K $(basename $path) ${NO_OFFLOADS.join(' ')}; done`,
      ),
    ),
  );
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

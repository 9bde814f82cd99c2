/** Checks that real downloads pass by every datapath with every forwarding method, and by VLAN and dummy devices. */
import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { director as lvs } from '../support/lvs-programs.ts';
import { type SharedCheck, Skipped } from './check.ts';
import { type DatapathName, type ServiceName, type Site, VIPS, VLAN } from './site.ts';

/** Packets of a download that may pass through the director's process although the kernel forwards the connection. */
const MAX_UPCALLS = 100;
const METHODS = ['nat', 'dr', 'tunnel'] as const;

type SiteCheck = SharedCheck<Site>;

/** The agent uses the kernel's ipip device in these. */
export function downloadChecks(datapath: DatapathName): SiteCheck[] {
  return METHODS.map((method) => ({
    name: `download: ${datapath}, ${method}`,
    run: (site) => downloadBy(site, datapath, method),
  }));
}

export function vlanCheck(datapath: 'live' | 'tc'): SiteCheck {
  return {
    name: `VLAN: ${datapath}, nat, VIP on ${VLAN}`,
    run: (site) => downloadBy(site, datapath, 'vlan'),
  };
}

/** Only drivers of cards and veth take XDP programs; the message has to name the interface and the kernel's error. */
export const refusalOnVlan: SiteCheck = {
  name: `VLAN: xdp is refused on ${VLAN}, with the reason`,
  run: async (site) => {
    await site.stopDirector();
    const program = site.lab.director.spawn([...lvs, 'run', '--config', site.file, '--datapath', 'xdp']);
    const line = await program.line(
      new RegExp(`${VLAN}: cannot attach the xdp program: .*(EOPNOTSUPP|ENOTSUP)`),
    );
    await program.ended;
    return line;
  },
};

export const dummyCheck: SiteCheck = {
  name: 'dummy: the VIP of a real server on dummy0',
  run: async (site) => {
    const address = await site.lab.servers[0]!.exec('ip -o address show dev dummy0');
    if (!address.includes(`${VIPS.dr}/32`)) throw new Error(`expected ${VIPS.dr}/32 on dummy0: ${address}`);
    return await downloadBy(site, 'live', 'dr');
  },
};

/** The agent uses its program or sockets in these. */
export const decapsulationChecks: SiteCheck[] = [
  {
    name: 'download: tc, tunnel to the program of lvs-realserver',
    run: async (site) => {
      await site.stopAgent();
      await withoutIpipDevice(() => site.restartAgent());
      return await downloadBy(site, 'tc', 'tunnel');
    },
  },
  {
    name: 'download: tc, IPv6 in an IPv4 tunnel to the program of lvs-realserver',
    run: (site) => downloadBy(site, 'tc', 'tunnel6'),
  },
];

export async function downloadBy(
  site: Site,
  datapath: DatapathName,
  name: ServiceName,
  maxUpcalls = MAX_UPCALLS,
): Promise<string> {
  await site.director(datapath);
  if (datapath === 'live') {
    await site.download(name);
    return 'as it was sent';
  }
  const before = await site.upcalls();
  await site.download(name);
  const upcalls = (await site.upcalls()) - before;
  if (upcalls > maxUpcalls)
    throw new Error(`${upcalls} packets passed through the director: expected at most ${maxUpcalls}`);
  return `as it was sent, ${upcalls} packets through the director`;
}

/** A rule of modprobe.d(5) by which the kernel gets no ipip device. */
const RULE = '/etc/modprobe.d/lvs-kernels.conf';

async function withoutIpipDevice(run: () => Promise<void>): Promise<void> {
  writeFileSync(RULE, 'install ipip /bin/false\n');
  const { status, stderr } = spawnSync('modprobe', ['-r', 'ipip'], { encoding: 'utf8' });
  try {
    if (status !== 0) throw new Skipped(`cannot remove the ipip device: ${stderr}`);
    await run();
  } finally {
    rmSync(RULE);
  }
}

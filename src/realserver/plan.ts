/** What has to change on a host so that it is a real server of its forwarding method. */
import { isIPv6 } from 'node:net';
import { LvsError } from '../model/errors.ts';
import type { Change } from './change.ts';
import { probeDevice } from './device.ts';
import { type Machine, must } from './machine.ts';
import { probeMss } from './mss.ts';
import { type Encapsulation, overhead } from './tunnel/encapsulation.ts';
import type { TunnelEnd } from './tunnel/tunnel-end.ts';

export interface Role {
  readonly method: 'dr' | 'tunnel' | 'nat';
  readonly vips: readonly string[];
  /** Carries the VIP under dr and tunnel: lo, an alias such as lo:0, dummy0, tunl0. */
  readonly device: string;
  /** The device towards the director; missing: any. */
  readonly netDevice?: string;
  /** The default route under nat; missing: as it is. */
  readonly gateway?: string;
  /** Kinds of tunnels that the director uses; missing: ipip. */
  readonly encapsulations?: readonly Encapsulation[];
}

export interface Plan {
  readonly changes: readonly Change[];
  /** What is not as asked, in words. */
  readonly notes: readonly string[];
  /** Missing: no tunnel ends in this program. */
  readonly tunnelEnd?: TunnelEnd;
}

/**
 * The answer to "who has the VIP" is the director's alone: a host answers for addresses of the device that was asked
 * (arp_ignore 1), and speaks from the one that belongs there (arp_announce 2): Linux, ip-sysctl.rst.
 */
const SILENT: readonly Change[] = [
  { kind: 'sysctl', path: 'net/ipv4/conf/all/arp_ignore', value: '1' },
  { kind: 'sysctl', path: 'net/ipv4/conf/all/arp_announce', value: '2' },
];
/** Accepts what some way leads back to; the greater of this and the setting for all devices counts (ip-sysctl.rst). */
const LOOSE = '2';
const TUNNEL_DEVICE = 'tunl0';
const IPIP: readonly Encapsulation[] = [{ type: 'ipip' }];
const ETHERNET_MTU = 1500;

/** Returns the changes of all roles of a host, each change once. */
export async function plan(roles: readonly Role[], machine: Machine): Promise<Plan> {
  const isMixed = roles.length > 1;
  const plans: Plan[] = [];
  for (const role of roles) plans.push(await planRole(role, isMixed, machine));
  const changes = new Map(
    plans.flatMap((each) => each.changes.map((change) => [JSON.stringify(change), change])),
  );
  const tunnelEnd = plans.find((each) => each.tunnelEnd)?.tunnelEnd;
  return {
    changes: [...changes.values()],
    notes: [...new Set(plans.flatMap(({ notes }) => notes))],
    ...(tunnelEnd ? { tunnelEnd } : {}),
  };
}

/** `isMixed`: the host has other roles, whose replies must not take the route of nat. */
async function planRole(role: Role, isMixed: boolean, machine: Machine): Promise<Plan> {
  const { method, gateway, vips } = role;
  if (method === 'nat' && gateway !== undefined && isMixed) {
    const table = `ip rule add from ADDRESS lookup 100; ip route add default via ${gateway} table 100`;
    const note = `nat: the host has other roles, so the default route stays; route what leaves from its own address (${table})`;
    return { changes: [], notes: [note] };
  }
  if (method === 'nat') {
    const notes = gateway ? [] : ['nat: no gateway is named, so the default route stays as it is'];
    return { changes: gateway ? [{ kind: 'route', gateway }] : [], notes };
  }
  const notes: string[] = [];
  const tunnel = method === 'tunnel' ? await tunnelEnd(role, machine, notes) : undefined;
  const carrier = await carry(role.device, tunnel?.device, machine, notes);
  return {
    changes: [
      ...SILENT,
      ...carrier.changes,
      ...(tunnel?.changes ?? []),
      ...vips.map((address): Change => ({ kind: 'vip', address, ...carrier.place })),
      ...(tunnel?.mss ?? []),
    ],
    notes,
    ...(tunnel?.end ? { tunnelEnd: tunnel.end } : {}),
  };
}

interface Carrier {
  readonly place: { readonly device: string; readonly label?: string };
  readonly changes: readonly Change[];
}

/** Where the VIP goes; `tunnel`: the kernel's tunnel device, if it has one. */
async function carry(
  wanted: string,
  tunnel: string | undefined,
  machine: Machine,
  notes: string[],
): Promise<Carrier> {
  const [device = 'lo'] = wanted.split(':');
  const place = wanted === device ? { device } : { device, label: wanted };
  const loopback = { place: { device: 'lo', label: 'lo:0' }, changes: [] };
  if (/^tunl\d/.test(device)) {
    if (device === tunnel) return { place, changes: [] };
    notes.push(`${device}: not to be had here, so the VIP goes to lo:0, an alias of the loopback`);
    return loopback;
  }
  if (/^dummy\d/.test(device)) {
    const why = await probeDevice(device, 'dummy', machine);
    if (why === undefined) return { place, changes: [{ kind: 'device', name: device, type: 'dummy' }] };
    notes.push(`${device}: not to be had here (${why}), so the VIP goes to lo:0, an alias of the loopback`);
    return loopback;
  }
  const { status, stdout } = await machine.run(['ip', '-j', 'link', 'show', 'dev', device]);
  if (status !== 0) throw new LvsError('CONFIG', `there is no device ${device} to carry the VIP`);
  const [link] = JSON.parse(stdout) as { flags: string[] }[];
  if (!link?.flags.includes('LOOPBACK') && !link?.flags.includes('NOARP'))
    throw new LvsError(
      'CONFIG',
      `${device} answers ARP, and a VIP on it would take the clients away from the director: use lo:0, dummy0 or tunl0`,
    );
  return { place, changes: [] };
}

/** The end of the tunnels: the kernel's where it has one, for IPv4 in IPv4; otherwise this program's. */
async function tunnelEnd(
  { vips, netDevice, encapsulations = IPIP }: Role,
  machine: Machine,
  notes: string[],
) {
  const ipip = encapsulations.some(({ type }) => type === 'ipip');
  const missing = ipip ? await probeDevice(TUNNEL_DEVICE, 'ipip', machine) : 'not asked for';
  const changes: Change[] = [];
  if (missing === undefined)
    changes.push(
      { kind: 'device', name: TUNNEL_DEVICE, type: 'ipip' },
      { kind: 'sysctl', path: `net/ipv4/conf/${TUNNEL_DEVICE}/rp_filter`, value: LOOSE },
    );
  else if (ipip) notes.push(`tunnel: ${missing}, so this program takes the packets out itself`);
  const mss: Change[] = [];
  const untold = await probeMss(machine);
  const most = Math.max(...encapsulations.map(overhead));
  if (untold === undefined)
    mss.push({ kind: 'mss', addresses: vips, mtu: await mtuOf(netDevice, machine), overhead: most });
  else notes.push(`tunnel: clients learn the smaller segment size from the director's ICMP only (${untold})`);
  const kernel = missing === undefined;
  const kernelAlone = kernel && encapsulations.length === 1 && !vips.some((vip) => isIPv6(vip));
  return {
    device: kernel ? TUNNEL_DEVICE : undefined,
    changes,
    mss,
    end: kernelAlone ? undefined : { vips, encapsulations, kernel },
  };
}

/** MTU of the device, or the least one of those that lead out of the host, octets. */
async function mtuOf(device: string | undefined, machine: Machine): Promise<number> {
  const words = ['ip', '-j', 'link', 'show', ...(device === undefined ? ['up'] : ['dev', device])];
  const links = JSON.parse((await must(machine, words)) || '[]') as { mtu: number; flags: string[] }[];
  const leadOut = links.filter(({ flags }) => !flags.includes('LOOPBACK') && !flags.includes('NOARP'));
  return Math.min(...leadOut.map(({ mtu }) => mtu), ...(leadOut.length === 0 ? [ETHERNET_MTU] : []));
}

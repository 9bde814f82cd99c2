/** Plans the changes that make a host a real server in its roles. */
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
  /** The default route under nat; missing: unchanged. */
  readonly gateway?: string;
  /** Tunnel types that the director uses; missing: ipip. */
  readonly encapsulations?: readonly Encapsulation[];
}

export interface Plan {
  readonly changes: readonly Change[];
  /** What differs from the request. */
  readonly notes: readonly string[];
  /** Missing: this program terminates no tunnel. */
  readonly tunnelEnd?: TunnelEnd;
}

/**
 * Only the director may answer ARP for the VIP: a host answers for addresses of the receiving device (arp_ignore 1), and
 * uses an address of the sending device in its requests (arp_announce 2): Linux, ip-sysctl.rst.
 */
const SILENT: readonly Change[] = [
  { kind: 'sysctl', path: 'net/ipv4/conf/all/arp_ignore', value: '1' },
  { kind: 'sysctl', path: 'net/ipv4/conf/all/arp_announce', value: '2' },
];
/** Loose rp_filter: any route back suffices. The greater of this and the setting for all devices counts (ip-sysctl.rst). */
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
    const notes = gateway ? [] : ['nat: no gateway is configured, so the default route stays unchanged'];
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
      ...(tunnel?.device && tunnel.device !== carrier.place.device ? vipsOn(tunnel.device, vips) : []),
      ...(tunnel?.mss ?? []),
    ],
    notes,
    ...(tunnel?.end ? { tunnelEnd: tunnel.end } : {}),
  };
}

/**
 * Adds the IPv4 VIPs to the tunnel device as well: even loose rp_filter drops what a device without an address receives
 * (__fib_validate_source in net/ipv4/fib_frontend.c, Linux 6.1).
 */
const vipsOn = (device: string, vips: readonly string[]): Change[] =>
  vips.filter((vip) => !isIPv6(vip)).map((address) => ({ kind: 'vip', address, device }));

interface Carrier {
  readonly place: { readonly device: string; readonly label?: string };
  readonly changes: readonly Change[];
}

/** Chooses the device of the VIP. `tunnel`: the kernel's tunnel device, if it has one. */
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
    notes.push(`${device} is not available; using lo:0`);
    return loopback;
  }
  if (/^dummy\d/.test(device)) {
    const why = await probeDevice(device, 'dummy', machine);
    if (why === undefined) return { place, changes: [{ kind: 'device', name: device, type: 'dummy' }] };
    notes.push(`${device} is not available (${why}); using lo:0`);
    return loopback;
  }
  const { status, stdout } = await machine.run(['ip', '-j', 'link', 'show', 'dev', device]);
  if (status !== 0) throw new LvsError('NO_SUCH_DEVICE', `device ${device} of the VIP: not found`);
  const [link] = JSON.parse(stdout) as { flags: string[] }[];
  if (!link?.flags.includes('LOOPBACK') && !link?.flags.includes('NOARP'))
    throw new LvsError(
      'CONFIG',
      `device ${device} of the VIP: answers ARP, so clients would bypass the director (use lo:0, dummy0 or tunl0)`,
    );
  return { place, changes: [] };
}

/** Plans what terminates the tunnels: the kernel if it has a device, for IPv4 in IPv4; otherwise this program. */
async function tunnelEnd(
  { vips, netDevice, encapsulations = IPIP }: Role,
  machine: Machine,
  notes: string[],
) {
  const ipip = encapsulations.some(({ type }) => type === 'ipip');
  const missing = ipip ? await probeDevice(TUNNEL_DEVICE, 'ipip', machine) : 'not requested';
  const changes: Change[] = [];
  if (missing === undefined)
    changes.push(
      { kind: 'device', name: TUNNEL_DEVICE, type: 'ipip' },
      { kind: 'sysctl', path: `net/ipv4/conf/${TUNNEL_DEVICE}/rp_filter`, value: LOOSE },
    );
  else if (ipip) notes.push(`tunnel: ${missing}, so this program decapsulates the packets`);
  const mss: Change[] = [];
  const obstacle = await probeMss(machine);
  const most = Math.max(...encapsulations.map(overhead));
  if (obstacle === undefined)
    mss.push({ kind: 'mss', addresses: vips, mtu: await mtuOf(netDevice, machine), overhead: most });
  else
    notes.push(
      `tunnel: clients learn the smaller segment size only from the director's ICMP errors (${obstacle})`,
    );
  const kernel = missing === undefined;
  const kernelAlone = kernel && encapsulations.length === 1 && !vips.some((vip) => isIPv6(vip));
  return {
    device: kernel ? TUNNEL_DEVICE : undefined,
    changes,
    mss,
    end: kernelAlone ? undefined : { vips, encapsulations, kernel },
  };
}

/** Resolves with the MTU of the device, or the smallest MTU of the host's network devices, bytes. */
async function mtuOf(device: string | undefined, machine: Machine): Promise<number> {
  const words = ['ip', '-j', 'link', 'show', ...(device === undefined ? ['up'] : ['dev', device])];
  const links = JSON.parse((await must(machine, words)) || '[]') as { mtu: number; flags: string[] }[];
  const leadOut = links.filter(({ flags }) => !flags.includes('LOOPBACK') && !flags.includes('NOARP'));
  return Math.min(...leadOut.map(({ mtu }) => mtu), ...(leadOut.length === 0 ? [ETHERNET_MTU] : []));
}

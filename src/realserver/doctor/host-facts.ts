/** Reads the host's addresses, devices, routes and listeners with iproute2. */
import { isIPv6 } from 'node:net';
import { type Machine, must } from '../machine.ts';

export interface HostAddress {
  readonly device: string;
  readonly address: string;
  readonly prefix: number;
}
export interface HostDevice {
  readonly name: string;
  readonly mtu: number;
  readonly up: boolean;
  /** True if the device uses ARP or neighbor discovery: neither the loopback nor a tunnel. */
  readonly neighbors: boolean;
}
export interface Listener {
  readonly protocol: 'tcp' | 'udp';
  /** '*': every address of both families; 0.0.0.0, [::]: of one. */
  readonly address: string;
  readonly port: number;
}
export interface HostFacts {
  readonly addresses: readonly HostAddress[];
  readonly devices: readonly HostDevice[];
  readonly listeners: readonly Listener[];
  /** IP protocol numbers that raw sockets receive. */
  readonly rawProtocols: ReadonlySet<number>;
}

interface LinkJson {
  readonly ifname: string;
  readonly mtu: number;
  readonly flags: readonly string[];
  readonly addr_info?: readonly { readonly local?: string; readonly prefixlen?: number }[];
}

export async function hostFacts(machine: Machine): Promise<HostFacts> {
  const links = JSON.parse((await must(machine, ['ip', '-j', 'address', 'show'])) || '[]') as LinkJson[];
  return {
    addresses: links.flatMap(({ ifname, addr_info = [] }) =>
      addr_info.map(({ local = '', prefixlen = 0 }) => ({
        device: ifname,
        address: local,
        prefix: prefixlen,
      })),
    ),
    devices: links.map(({ ifname, mtu, flags }) => ({
      name: ifname,
      mtu,
      up: flags.includes('UP'),
      neighbors: !flags.includes('LOOPBACK') && !flags.includes('NOARP'),
    })),
    listeners: listenersOf(await must(machine, ['ss', '-Hltnu'])),
    rawProtocols: rawProtocolsOf(await must(machine, ['cat', '/proc/net/raw', '/proc/net/raw6'])),
  };
}

/** Parses the lines of `ss -Hltnu`: protocol, state, two queues, local address:port, peer. */
export function listenersOf(text: string): Listener[] {
  return text.split('\n').flatMap((line) => {
    const [protocol, , , , local = ''] = line.trim().split(/\s+/);
    const at = /^(.*?)(?:%[^:\]]+)?\]?:(\d+)$/.exec(local.replace(/^\[/, ''));
    if ((protocol !== 'tcp' && protocol !== 'udp') || !at) return [];
    return [{ protocol, address: at[1]!.replace(/\]$/, ''), port: Number(at[2]) }];
  });
}

/** Parses the lines of /proc/net/raw: number, local address:protocol in hexadecimal. */
export const rawProtocolsOf = (text: string): ReadonlySet<number> =>
  new Set(
    [...text.matchAll(/^\s*\d+: [0-9A-F]+:([0-9A-F]{4})/gm)].map((match) => Number.parseInt(match[1]!, 16)),
  );

export interface HostRoute {
  readonly device: string;
  readonly gateway?: string;
}

/** Resolves with the route of the host's packets to an address, from an address if given; undefined for none. */
export async function routeTo(
  address: string,
  machine: Machine,
  from?: string,
): Promise<HostRoute | undefined> {
  const family = isIPv6(address) ? ['-6'] : [];
  const source = from === undefined ? [] : ['from', from];
  const { status, stdout } = await machine.run(['ip', ...family, '-j', 'route', 'get', address, ...source]);
  if (status !== 0) return undefined;
  const [route] = JSON.parse(stdout || '[]') as { dev?: string; gateway?: string; type?: string }[];
  if (!route?.dev || route.type === 'unreachable') return undefined;
  return { device: route.dev, ...(route.gateway !== undefined && { gateway: route.gateway }) };
}

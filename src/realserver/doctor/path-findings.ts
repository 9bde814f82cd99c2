/** What is wrong on the way of packets through a real server: in by the tunnel, and back to the client. */
import { isIPv6 } from 'node:net';
import { type Address, maskAddress, parseAddress, prefixMask, sameAddress } from '../../wire/address.ts';
import type { Machine } from '../machine.ts';
import { clampedSize, segmentSize } from '../mss.ts';
import type { Role } from '../plan.ts';
import { type Encapsulation, GRE, overhead } from '../tunnel/encapsulation.ts';
import type { Finding } from './finding.ts';
import { type HostFacts, wayTo } from './host-facts.ts';
import { effective } from './vip-findings.ts';

/** Drops what the route back would not lead to (ip-sysctl.rst). */
const STRICT = 1;
/** An address that is everybody's and nobody's: TEST-NET-3 (RFC 5737), the documentation prefix (RFC 3849). */
const FAR = { 4: '203.0.113.1', 6: '2001:db8::1' } as const;
const TUNNEL_DEVICE = 'tunl0';
/** IP protocol numbers (IANA). */
const IPIP = 4;
const IPV6_INSIDE = 41;

const familyOf = (address: string): 4 | 6 => (isIPv6(address) ? 6 : 4);

/** Under nat the director must receive the replies, which leave from `addresses` if those are known. */
export async function routeFindings(
  { gateway }: Role,
  addresses: readonly string[],
  machine: Machine,
): Promise<Finding[]> {
  if (gateway === undefined) return [];
  const from = addresses.find((address) => isIPv6(address) === isIPv6(gateway));
  const way = await wayTo(FAR[familyOf(gateway)], machine, from);
  if (way?.gateway === gateway) return [];
  const now = way ? `goes ${way.gateway ? `by ${way.gateway}` : `out of ${way.device}`}` : 'has no route';
  const six = isIPv6(gateway) ? '-6 ' : '';
  return [
    {
      name: 'route-back',
      what: `what leaves for clients ${now}, not by the director ${gateway}`,
      mend: `ip ${six}route replace default via ${gateway}`,
    },
  ];
}

/** Strict filtering where packets for the VIP come in by another device than replies leave by. */
export async function filterFindings(role: Role, facts: HostFacts, machine: Machine): Promise<Finding[]> {
  const [vip] = role.vips.filter((each) => !isIPv6(each));
  if (vip === undefined) return [];
  const way = await wayTo(FAR[4], machine);
  const tunnelled = facts.devices.some(({ name, up }) => name === TUNNEL_DEVICE && up);
  const arrivals =
    role.method === 'tunnel' && tunnelled
      ? [TUNNEL_DEVICE]
      : role.netDevice !== undefined
        ? [role.netDevice]
        : facts.addresses.filter((each) => isNear(vip, each)).map(({ device }) => device);
  // One device in and the same one out is what the filter wants.
  const crossed = new Set(arrivals.filter((name) => way !== undefined && name !== way.device));
  const findings: Finding[] = [];
  for (const name of crossed)
    if ((await effective('rp_filter', name, machine)) === STRICT)
      findings.push({
        name: 'rp-filter',
        what: `rp_filter is ${STRICT} on ${name}, and replies leave by ${way!.device}`,
        mend: `sysctl -w net.ipv4.conf.${name}.rp_filter=2`,
      });
  return findings;
}

/** True when the VIP is another address of the network that this one is in. */
function isNear(vip: string, { address, prefix }: HostFacts['addresses'][number]): boolean {
  const [one, other] = [parseAddress(vip), parseAddress(address)];
  if (!one || !other || isIPv6(address) || address === vip) return false;
  const mask = prefixMask(4, prefix);
  const masked = (each: Address) => maskAddress(each, mask, new Uint32Array(4));
  return sameAddress(masked(one), masked(other));
}

/** Somebody has to take the packets out: the kernel's device, or a program with a raw socket. */
export function decapsulationFindings(
  { vips, encapsulations = [{ type: 'ipip' }] }: Role,
  { devices, listeners, rawProtocols }: HostFacts,
): Finding[] {
  const up = (pattern: RegExp) => devices.some(({ name, up }) => pattern.test(name) && up);
  const families = [...new Set(vips.map(familyOf))];
  const done = (each: Encapsulation): boolean => {
    switch (each.type) {
      case 'ipip':
        return families.every((family) =>
          family === 4
            ? up(/^tunl\d/) || rawProtocols.has(IPIP)
            : up(/^(ip6tnl|sit)\d/) || rawProtocols.has(IPV6_INSIDE),
        );
      case 'gre':
        return up(/^gre/) || rawProtocols.has(GRE);
      case 'gue':
        return listeners.some(({ protocol, port }) => protocol === 'udp' && port === each.port);
      default:
        return each satisfies never;
    }
  };
  return encapsulations
    .filter((each) => !done(each))
    .map((each) => ({
      name: 'no-decapsulation',
      what: `nobody takes ${each.type === 'gue' ? `gue packets of port ${each.port}` : `${each.type} packets`} out of the tunnel`,
      mend: `lvs-realserver run --method tunnel --vip ${vips.join(',')}`,
    }));
}

/** Clients learn the segment size from what the server says; a link with room to spare needs none. */
export async function tunnelMtuFindings(
  { vips, netDevice, encapsulations = [{ type: 'ipip' }] }: Role,
  { devices }: HostFacts,
  machine: Machine,
): Promise<Finding[]> {
  const room = Math.max(...encapsulations.map(overhead));
  const links = devices.filter(({ name, neighbors, up }) => neighbors && up && (netDevice ?? name) === name);
  const mtu = Math.min(...links.map((each) => each.mtu));
  if (!Number.isFinite(mtu)) return [];
  const findings: Finding[] = [];
  for (const vip of vips) {
    const fits = segmentSize(vip, mtu, room);
    const said = (await clampedSize(vip, machine)) ?? (await advertised(vip, machine)) ?? mtu - plain(vip);
    if (said > fits)
      findings.push({
        name: 'tunnel-mtu',
        what: `segments of ${said} octets for ${vip} do not fit through a tunnel over an MTU of ${mtu}: ${fits} do`,
        mend: `ip ${isIPv6(vip) ? '-6 ' : ''}route change default ... advmss ${fits} (or lvs-realserver run --method tunnel --vip ${vip})`,
      });
  }
  return findings;
}

/** Octets of the headers of IP and TCP (RFC 791, RFC 8200, RFC 9293). */
const plain = (vip: string): number => (isIPv6(vip) ? 60 : 40);

/** The segment size that the route to clients advertises. */
async function advertised(vip: string, machine: Machine): Promise<number | undefined> {
  const { stdout } = await machine.run([
    'ip',
    ...(isIPv6(vip) ? ['-6'] : []),
    'route',
    'get',
    FAR[familyOf(vip)],
  ]);
  const size = /\badvmss (\d+)/.exec(stdout)?.[1];
  return size === undefined ? undefined : Number(size);
}

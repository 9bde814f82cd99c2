/** Finds problems on the path of packets through a real server: decapsulation, filters, the route back to the client. */
import { isIPv6 } from 'node:net';
import { type Address, maskAddress, parseAddress, prefixMask, sameAddress } from '../../wire/address.ts';
import type { Machine } from '../machine.ts';
import { clampedSize, segmentSize } from '../mss.ts';
import type { Role } from '../plan.ts';
import { type Encapsulation, GRE, overhead } from '../tunnel/encapsulation.ts';
import type { Finding } from './finding.ts';
import { type HostFacts, routeTo } from './host-facts.ts';
import { effective } from './vip-findings.ts';

/** rp_filter requires that the route back uses the same device (ip-sysctl.rst). */
const STRICT = 1;
/** An address far away: TEST-NET-3 (RFC 5737), the documentation prefix (RFC 3849). */
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
  const way = await routeTo(FAR[familyOf(gateway)], machine, from);
  if (way?.gateway === gateway) return [];
  const now = way ? `leads ${way.gateway ? `through ${way.gateway}` : `to ${way.device}`}` : 'is missing';
  const six = isIPv6(gateway) ? '-6 ' : '';
  return [
    {
      name: 'route-back',
      what: `the route to clients ${now}, not through the director ${gateway}`,
      remedy: `ip ${six}route replace default via ${gateway}`,
    },
  ];
}

/** Finds strict rp_filter where packets for the VIP arrive at another device than replies leave through. */
export async function filterFindings(role: Role, facts: HostFacts, machine: Machine): Promise<Finding[]> {
  const [vip] = role.vips.filter((each) => !isIPv6(each));
  if (vip === undefined) return [];
  const way = await routeTo(FAR[4], machine);
  const tunnelled = facts.devices.some(({ name, up }) => name === TUNNEL_DEVICE && up);
  const arrivals =
    role.method === 'tunnel' && tunnelled
      ? [TUNNEL_DEVICE]
      : role.netDevice !== undefined
        ? [role.netDevice]
        : facts.addresses.filter((each) => isNear(vip, each)).map(({ device }) => device);
  // The filter accepts packets that arrive at the device of the route back.
  const crossed = new Set(arrivals.filter((name) => way !== undefined && name !== way.device));
  const findings: Finding[] = [];
  for (const name of crossed)
    if ((await effective('rp_filter', name, machine)) === STRICT)
      findings.push({
        name: 'rp-filter',
        what: `rp_filter is ${STRICT} on ${name}, but replies leave through ${way!.device}`,
        remedy: `sysctl -w net.ipv4.conf.${name}.rp_filter=2`,
      });
  return findings;
}

/** Reports whether the VIP is another address of the same network. */
function isNear(vip: string, { address, prefix }: HostFacts['addresses'][number]): boolean {
  const [one, other] = [parseAddress(vip), parseAddress(address)];
  if (!one || !other || isIPv6(address) || address === vip) return false;
  const mask = prefixMask(4, prefix);
  const masked = (each: Address) => maskAddress(each, mask, new Uint32Array(4));
  return sameAddress(masked(one), masked(other));
}

/** Finds tunnel types that neither a device of the kernel nor a program with a raw socket decapsulates. */
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
      what: `no device and no program decapsulates ${each.type === 'gue' ? `gue packets of port ${each.port}` : `${each.type} packets`}`,
      remedy: `lvs-realserver run --method tunnel --vip ${vips.join(',')}`,
    }));
}

/** Finds VIPs whose server offers clients segments that do not fit through the tunnel. */
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
        what: `segments of ${said} bytes for ${vip} do not fit through a tunnel over an MTU of ${mtu}: at most ${fits} do`,
        remedy: `ip ${isIPv6(vip) ? '-6 ' : ''}route change default ... advmss ${fits} (or lvs-realserver run --method tunnel --vip ${vip})`,
      });
  }
  return findings;
}

/** Returns the length of the headers of IP and TCP, bytes (RFC 791, RFC 8200, RFC 9293). */
const plain = (vip: string): number => (isIPv6(vip) ? 60 : 40);

/** Resolves with the segment size that the route to clients advertises, bytes. */
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

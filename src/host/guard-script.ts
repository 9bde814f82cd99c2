/** The nftables commands that keep the packets of virtual services from the host's own stack, as text from a snapshot. */
import { isIPv4, isIPv6 } from 'node:net';
import type { MarkRule } from '../model/command.ts';
import type { Protocol } from '../model/service.ts';
import type { DestinationSnapshot, ServiceSnapshot } from '../model/snapshot.ts';

/** What the director takes for itself. */
export interface Guarded {
  readonly services: readonly {
    readonly service: ServiceSnapshot['service'];
    readonly destinations: readonly Pick<DestinationSnapshot, 'method' | 'address' | 'port'>[];
  }[];
  readonly marks: readonly MarkRule[];
}

/** IP protocol numbers (IANA). */
const NUMBERS: Readonly<Record<Protocol, number>> = { tcp: 6, udp: 17, sctp: 132 };
const ALL_PORTS = '0-65535';
/** FTP's control port (RFC 959): its data connections go to any other port of the same address. */
const FTP = 21;

/** The port of a service whose packets are kept; 0: those of all ports. What is kept needlessly finds its way all the same. */
export const keptPort = (service: { readonly protocol: Protocol; readonly port: number }): number =>
  service.protocol === 'tcp' && service.port === FTP ? 0 : service.port;
/** Before connection tracking's and everybody else's; packet sockets have seen the packet by then. */
const PRIORITY = -500;

/** Words of nft that differ between the families. */
const FAMILY = {
  4: {
    ip: 'ip',
    type: 'ipv4_addr',
    fragment: 'ip frag-off & 0x3fff != 0',
    errors: 'icmp type { destination-unreachable, source-quench, time-exceeded, parameter-problem }',
  },
  6: {
    ip: 'ip6',
    type: 'ipv6_addr',
    fragment: 'exthdr frag exists',
    errors: 'icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem }',
  },
} as const;
type Family = keyof typeof FAMILY;
const FAMILIES: readonly Family[] = [4, 6];

/** One transaction, one line: the table with its chain on each interface, and nothing kept back yet. Linux 5.12 (owner). */
export function createGuard(table: string, interfaces: readonly string[]): string {
  const devices = interfaces.map((name) => `"${name}"`).join(', ');
  return [
    `add table netdev ${table} { flags owner; }`,
    `add chain netdev ${table} kept`,
    `add chain netdev ${table} ingress { type filter hook ingress devices = { ${devices} } priority ${PRIORITY}; policy accept; }`,
    `add rule netdev ${table} ingress jump kept`,
  ].join('; ');
}

/** One transaction, one line: from now on just these are kept back. */
export function replaceGuard(table: string, guarded: Guarded): string {
  const rule = (text: string) => `add rule netdev ${table} kept ${text}`;
  return [
    `flush chain netdev ${table} kept`,
    ...requestRules(guarded).map(rule),
    ...markRules(guarded).map(rule),
    ...replyRules(guarded).map(rule),
  ].join('; ');
}

/** Packets to a virtual service, and all fragments to its address: only the first one tells its port. */
function requestRules({ services }: Guarded): string[] {
  const ends: End[] = [];
  for (const { service } of services)
    if ('address' in service) ends.push([service.address, NUMBERS[service.protocol], keptPort(service)]);
  return FAMILIES.flatMap((family) => endRules(family, 'daddr', 'dport', ends));
}

/**
 * What real servers behind NAT answer, and errors about it, unless it is to the host itself. The kernel would
 * forward it untranslated, or answer it with a reset.
 */
function replyRules({ services }: Guarded): string[] {
  const ends: End[] = [];
  for (const { service, destinations } of services)
    for (const { method, address, port } of destinations) {
      if (method !== 'masq') continue;
      const protocols = 'protocol' in service ? [service.protocol] : (['tcp', 'udp', 'sctp'] as const);
      for (const protocol of protocols) ends.push([address, NUMBERS[protocol], port]);
    }
  if (ends.length === 0) return [];
  const errors = FAMILIES.flatMap((family) => {
    const servers = of(family, ends);
    const { ip, errors: types } = FAMILY[family];
    return servers.length === 0
      ? []
      : [`${ip} saddr { ${unique(servers.map(([address]) => address)).join(', ')} } ${types} drop`];
  });
  return [
    'fib daddr type local return',
    ...FAMILIES.flatMap((family) => endRules(family, 'saddr', 'sport', ends)),
    ...errors,
  ];
}

/** Marks in the order of their rules: the first that matches decides, whether its mark has a service or not. */
function markRules({ services, marks }: Guarded): string[] {
  const served = new Set<string>();
  for (const { service } of services) if ('mark' in service) served.add(`${service.mark}/${service.family}`);
  if (served.size === 0) return [];
  return marks.flatMap((rule) =>
    FAMILIES.flatMap((family) => {
      const matches = markMatches(rule, family);
      return matches ? [`${matches} ${served.has(`${rule.mark}/${family}`) ? 'drop' : 'return'}`] : [];
    }),
  );
}

function markMatches(rule: MarkRule, family: Family): string | undefined {
  const { ip } = FAMILY[family];
  for (const prefix of [rule.to, rule.from])
    if (prefix !== undefined && familyOf(prefix.split('/')[0]!) !== family) return undefined;
  if (rule.protocol === (family === 4 ? 'icmpv6' : 'icmp')) return undefined;
  const words = [`meta protocol ${ip}`];
  if (rule.to !== undefined) words.push(`${ip} daddr ${rule.to}`);
  if (rule.from !== undefined) words.push(`${ip} saddr ${rule.from}`);
  const protocol = rule.protocol;
  if (protocol === 'icmp' || protocol === 'icmpv6') words.push(`meta l4proto ${protocol}`);
  else words.push(`meta l4proto ${protocol === undefined ? '{ 6, 17, 132 }' : NUMBERS[protocol]}`);
  if (rule.port !== undefined)
    words.push(`th dport ${typeof rule.port === 'number' ? rule.port : rule.port.join('-')}`);
  return words.join(' ');
}

type End = readonly [address: string, protocol: number, port: number];

/** Two rules for some ends of connections: their packets, and all fragments of their protocol. */
function endRules(family: Family, side: 'daddr' | 'saddr', port: 'dport' | 'sport', ends: readonly End[]) {
  const mine = of(family, ends);
  if (mine.length === 0) return [];
  const { ip, fragment } = FAMILY[family];
  // A service of all ports covers the others of its address and protocol; nft refuses what overlaps.
  const whole = new Set(mine.filter(([, , number]) => number === 0).map(([a, p]) => `${a} . ${p}`));
  const exact = mine.map(([a, p, number]) => {
    const key = `${a} . ${p}`;
    return `${key} . ${whole.has(key) ? ALL_PORTS : number}`;
  });
  const portless = mine.map(([a, p]) => `${a} . ${p}`);
  return [
    `${ip} ${side} . meta l4proto . th ${port} { ${unique(exact).join(', ')} } drop`,
    `${ip} ${side} . meta l4proto { ${unique(portless).join(', ')} } ${fragment} drop`,
  ];
}

const of = (family: Family, ends: readonly End[]) => ends.filter(([address]) => familyOf(address) === family);
const familyOf = (address: string): Family | undefined =>
  isIPv4(address) ? 4 : isIPv6(address) ? 6 : undefined;
const unique = (texts: readonly string[]): string[] => [...new Set(texts)];

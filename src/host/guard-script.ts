/** Renders the nftables commands that withhold the packets of virtual services from the host's own stack. */
import { isIPv4, isIPv6 } from 'node:net';
import type { MarkRule } from '../model/command.ts';
import { PROTOCOL_NUMBERS } from '../model/naming.ts';
import type { Protocol } from '../model/service.ts';
import { Slice } from '../model/slice.ts';
import type { DestinationSnapshot, ServiceSnapshot } from '../model/snapshot.ts';
import { markMatch, PORT_PROTOCOLS } from './mark-match.ts';

/** The services and marks whose packets the director handles and the host must not. */
export interface Guarded {
  readonly services: readonly {
    readonly service: ServiceSnapshot['service'];
    readonly destinations: readonly Pick<DestinationSnapshot, 'method' | 'address' | 'port'>[];
  }[];
  readonly marks: readonly MarkRule[];
}

const ALL_PORTS = '0-65535';
/** FTP's control port (RFC 959): its data connections use any other port of the same address. */
const FTP_PORT = 21;

/**
 * Returns the port of a service to withhold from the host; 0 means every port. Packets that are withheld although no
 * service needs them are returned to the host by runtime/unmatched-packets.ts.
 */
export const guardedPort = (service: { readonly protocol: Protocol; readonly port: number }): number =>
  service.protocol === 'tcp' && service.port === FTP_PORT ? 0 : service.port;
/** Earlier than connection tracking and every usual chain. Packet sockets receive the packet before any hook. */
const PRIORITY = -500;

/** Expressions of nft that differ between the families. */
const NFT_WORDS = {
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
type Family = keyof typeof NFT_WORDS;
const FAMILIES: readonly Family[] = [4, 6];

/**
 * Returns one transaction on one line: the table and its chain on each interface, which withholds nothing yet.
 * Needs Linux 5.12 (flags owner).
 */
export function createGuard(table: string, interfaces: readonly string[]): string {
  const devices = interfaces.map((name) => `"${name}"`).join(', ');
  return [
    `add table netdev ${table} { flags owner; }`,
    `add chain netdev ${table} withheld`,
    `add chain netdev ${table} ingress { type filter hook ingress devices = { ${devices} } priority ${PRIORITY}; policy accept; }`,
    // A frame for another MAC address is not this interface's: a macvlan on it, or a bridge, may have it next.
    `add rule netdev ${table} ingress meta pkttype other accept`,
    // The packet of a VLAN arrives again at the VLAN's interface. VLAN id 0 is priority alone.
    `add rule netdev ${table} ingress vlan id 1-4095 accept`,
    `add rule netdev ${table} ingress jump withheld`,
  ].join('; ');
}

/** Resolves with one transaction on one line that withholds exactly the packets of `guarded`. Works in slices. */
export async function replaceGuard(table: string, guarded: Guarded): Promise<string> {
  const slice = new Slice();
  const rules = [
    ...(await requestRules(guarded, slice)),
    ...markRules(guarded),
    ...(await replyRules(guarded, slice)),
  ];
  return [
    `flush chain netdev ${table} withheld`,
    ...rules.map((text) => `add rule netdev ${table} withheld ${text}`),
  ].join('; ');
}

/** Returns rules for packets to a virtual service and all fragments to its address: only the first fragment has a port. */
async function requestRules({ services }: Guarded, slice: Slice): Promise<string[]> {
  const ends = new Ends();
  for (const { service } of services) {
    if ('address' in service)
      ends.add(service.address, PROTOCOL_NUMBERS[service.protocol], guardedPort(service));
    if (slice.spent) await slice.next();
  }
  return ends.rules('daddr', 'dport', slice);
}

/**
 * Returns rules for the replies of NATed real servers and ICMP errors from them, except those addressed to the host
 * itself. The kernel would forward these packets untranslated, or answer them with a reset.
 */
async function replyRules({ services }: Guarded, slice: Slice): Promise<string[]> {
  const ends = new Ends();
  for (const { service, destinations } of services)
    for (const { method, address, port } of destinations) {
      if (slice.spent) await slice.next();
      if (method !== 'nat') continue;
      const protocols = 'protocol' in service ? [service.protocol] : (['tcp', 'udp', 'sctp'] as const);
      for (const protocol of protocols) ends.add(address, PROTOCOL_NUMBERS[protocol], port);
    }
  if (ends.isEmpty) return [];
  const rules = await ends.rules('saddr', 'sport', slice);
  const errors = FAMILIES.flatMap((family) => {
    const servers = ends.addresses(family);
    const { ip, errors: types } = NFT_WORDS[family];
    return servers.length === 0 ? [] : [`${ip} saddr { ${servers.join(', ')} } ${types} drop`];
  });
  return ['fib daddr type local return', ...rules, ...errors];
}

/** Returns a rule per mark, in the order of the marks: the first match decides, with a service (drop) or without (return). */
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

/** Returns the nft expression of a mark rule in one family; undefined for a rule of the other family. */
function markMatches(rule: MarkRule, family: Family): string | undefined {
  const { ip } = NFT_WORDS[family];
  for (const prefix of [rule.to, rule.from])
    if (prefix !== undefined && familyOf(prefix.split('/')[0]!) !== family) return undefined;
  if (rule.protocol === (family === 4 ? 'icmpv6' : 'icmp')) return undefined;
  // The director leaves other protocols to the host.
  const ports = rule.protocol === undefined && rule.port === undefined ? PORT_PROTOCOLS : '';
  return `meta protocol ${ip} ${markMatch(rule)} ${ports}`.replaceAll(/ +/g, ' ').trimEnd();
}

/** Endpoints of one side of connections. */
class Ends {
  /** By family, then by address and protocol: the ports; 0 stands for all of them. */
  readonly #ports = { 4: new Map<string, Set<number>>(), 6: new Map<string, Set<number>>() };
  readonly #addresses = { 4: new Set<string>(), 6: new Set<string>() };

  add(address: string, protocol: number, port: number): void {
    const family = familyOf(address);
    if (!family) return;
    this.#addresses[family].add(address);
    const key = `${address} . ${protocol}`;
    const known = this.#ports[family].get(key);
    if (known) known.add(port);
    else this.#ports[family].set(key, new Set([port]));
  }

  get isEmpty(): boolean {
    return FAMILIES.every((family) => this.#addresses[family].size === 0);
  }

  addresses(family: Family): string[] {
    return [...this.#addresses[family]];
  }

  /** Returns two rules for each family: one for the packets of the endpoints, one for all fragments of their protocol. */
  async rules(side: 'daddr' | 'saddr', port: 'dport' | 'sport', slice: Slice): Promise<string[]> {
    const rules: string[] = [];
    for (const family of FAMILIES) {
      const ports = this.#ports[family];
      if (ports.size === 0) continue;
      const exact: string[] = [];
      for (const [key, numbers] of ports) {
        // Port 0 covers the other ports of its address and protocol. nft rejects overlapping elements.
        if (numbers.has(0)) exact.push(`${key} . ${ALL_PORTS}`);
        else for (const number of numbers) exact.push(`${key} . ${number}`);
        if (slice.spent) await slice.next();
      }
      const { ip, fragment } = NFT_WORDS[family];
      rules.push(
        `${ip} ${side} . meta l4proto . th ${port} { ${exact.join(', ')} } drop`,
        `${ip} ${side} . meta l4proto { ${[...ports.keys()].join(', ')} } ${fragment} drop`,
      );
    }
    return rules;
  }
}

const familyOf = (address: string): Family | undefined =>
  isIPv4(address) ? 4 : isIPv6(address) ? 6 : undefined;

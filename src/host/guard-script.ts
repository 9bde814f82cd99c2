/** Renders the nftables commands that withhold the packets of virtual services from the host's own stack. */
import { isIPv4, isIPv6 } from 'node:net';
import type { MarkRule } from '../model/command.ts';
import { PROTOCOL_NUMBERS } from '../model/naming.ts';
import { countPart, type OwnedChange, type OwnedPart, protocolsOf } from '../model/owned-packets.ts';
import { isFtpService, type Protocol, type ServiceAddress } from '../model/service.ts';
import { Slice } from '../model/slice.ts';
import { GuardLifetime, LIFETIME_SETS, renewLifetime } from './guard-lifetime.ts';
import { markMatch, PORT_PROTOCOLS } from './mark-match.ts';

/** A change of the packets that the host must not process. */
export interface GuardChange extends OwnedChange {
  /** All rules that give packets a firewall mark, in their order. */
  readonly marks: readonly MarkRule[];
}

/**
 * Returns the port of a service to withhold from the host; 0 means every port: data connections of FTP use any other port of
 * the same address. Packets that are withheld although no
 * service needs them are returned to the host by runtime/host/unmatched-packets.ts.
 */
export const guardedPort = (service: Extract<ServiceAddress, { readonly port: number }>): number =>
  isFtpService(service) ? 0 : service.port;

/** As `guardedPort`, for the replies of a destination: those of the data connections of FTP come from other ports. */
export const guardedReplyPort = (service: ServiceAddress, destination: { readonly port: number }): number =>
  isFtpService(service) ? 0 : destination.port;

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

/** Chains without a hook; `withheld` while the guard's lifetime lasts, `orphaned` after it. */
const CHAINS = ['requests', 'marks', 'replies', 'others', 'withheld', 'orphaned'];

/** Number of set elements in a transaction. */
const ELEMENTS_PER_TRANSACTION = 4000;

/** Sets of a side of connections: exact endpoints, addresses of which every port counts, and those of fragments. */
const SIDES = {
  request: { address: 'daddr', port: 'dport', sets: ['requests', 'request_hosts', 'request_fragments'] },
  reply: { address: 'saddr', port: 'sport', sets: ['replies', 'reply_hosts', 'reply_fragments'] },
} as const;
type Side = keyof typeof SIDES;

/** Returns one transaction on one line: a table that withholds nothing yet. */
export function createGuard(table: string): string {
  return [
    `add table netdev ${table}`,
    ...CHAINS.map((chain) => `add chain netdev ${table} ${chain}`),
    ...[...FAMILIES.flatMap(setsOf), ...LIFETIME_SETS].map((set) => `add set netdev ${table} ${set}`),
    renewLifetime(table),
    ...FAMILIES.flatMap((family) => sideRules('request', family)).map(
      (rule) => `add rule netdev ${table} requests ${rule}`,
    ),
    `add rule netdev ${table} others jump marks`,
    ...FAMILIES.map(
      (family) =>
        `add rule netdev ${table} others ${NFT_WORDS[family].ip} saddr @servers${family} jump replies`,
    ),
    ...['requests', 'others'].map((chain) => `add rule netdev ${table} withheld jump ${chain}`),
    // The director was killed: the VIPs that it held have expired, and another program may use them.
    ...FAMILIES.map(
      (family) =>
        `add rule netdev ${table} orphaned ${NFT_WORDS[family].ip} daddr != @held${family} jump requests`,
    ),
    `add rule netdev ${table} orphaned jump others`,
    // Packets that servers send to the host itself are no replies.
    `add rule netdev ${table} replies fib daddr type local return`,
    ...FAMILIES.flatMap((family) => [
      ...sideRules('reply', family),
      // The kernel would forward these untranslated, or answer them with a reset.
      `${NFT_WORDS[family].ip} saddr @servers${family} ${NFT_WORDS[family].errors} drop`,
    ]).map((rule) => `add rule netdev ${table} replies ${rule}`),
  ].join('; ');
}

/** Returns one transaction on one line that applies the table to exactly these interfaces. */
export function attachGuard(table: string, interfaces: readonly string[]): string {
  const devices = interfaces.map((name) => `"${name}"`).join(', ');
  const chain = `chain netdev ${table} ingress`;
  return [
    // The kernel removes the chain with the last of its interfaces: added, it exists and can be deleted.
    `add ${chain}`,
    `flush ${chain}`,
    `delete ${chain}`,
    `add ${chain} { type filter hook ingress devices = { ${devices} } priority ${PRIORITY}; policy accept; }`,
    // A frame for another MAC address is not this interface's: a macvlan on it, or a bridge, may have it next.
    `add rule netdev ${table} ingress meta pkttype other accept`,
    // The packet of a VLAN arrives again at the VLAN's interface. VLAN id 0 is priority alone.
    `add rule netdev ${table} ingress vlan id 1-4095 accept`,
    `add rule netdev ${table} ingress meta protocol @running goto withheld`,
    `add rule netdev ${table} ingress meta protocol @lasting jump orphaned`,
  ].join('; ');
}

/** Returns the declarations of a family's sets. Hash sets: an element is added without a look at the others. */
function setsOf(family: Family): string[] {
  const { type } = NFT_WORDS[family];
  const sets = Object.values(SIDES).flatMap(({ sets: [ends, hosts, fragments] }) => [
    `${ends}${family} { type ${type} . inet_proto . inet_service; }`,
    `${hosts}${family} { type ${type} . inet_proto; }`,
    `${fragments}${family} { type ${type} . inet_proto; }`,
  ]);
  return [...sets, `servers${family} { type ${type}; }`];
}

/** Returns the rules for the packets of one side: only the first fragment of a datagram has a port. */
function sideRules(side: Side, family: Family): string[] {
  const { address, port, sets } = SIDES[side];
  const { ip, fragment } = NFT_WORDS[family];
  const [ends, hosts, fragments] = sets.map((set) => `@${set}${family}`);
  const host = `${ip} ${address} . meta l4proto`;
  return [
    `${host} . th ${port} ${ends} drop`,
    `${host} ${hosts} drop`,
    `${host} ${fragments} ${fragment} drop`,
  ];
}

/** What the sets and mark rules of a guard contain: each element with the number of parts that need it. */
export class GuardContent {
  /** By set. */
  readonly #elements = new Map<string, Map<string, number>>();
  /** Marks with a service, as mark/family, with the number of services. */
  readonly #served = new Map<string, number>();
  #marks: readonly string[] = [];
  readonly #lifetime = new GuardLifetime();

  /** Includes a change, and resolves with the transactions that carry it out. Works in slices. */
  async change(table: string, { added, removed, marks }: GuardChange): Promise<string[]> {
    const slice = new Slice();
    /** Elements that may have changed, by set: whether each existed. */
    const touched = new Map<string, Map<string, boolean>>();
    for (const [parts, step] of [
      [added, 1],
      [removed, -1],
    ] as const)
      for (const part of parts) {
        if (!part.destination) {
          if ('mark' in part.service)
            countPart(this.#served, `${part.service.mark}/${part.service.family}`, step);
          this.#lifetime.count(part.service, step);
        }
        for (const [set, element] of elementsOf(part)) {
          const elements = entryOf(this.#elements, set, () => new Map<string, number>());
          const before = entryOf(touched, set, () => new Map<string, boolean>());
          if (!before.has(element)) before.set(element, elements.has(element));
          countPart(elements, element, step);
        }
        if (slice.spent) await slice.next();
      }
    const transactions = new Transactions(table);
    for (const [set, before] of touched)
      for (const [element, existed] of before) {
        const exists = this.#elements.get(set)!.has(element);
        if (exists !== existed) transactions.element(exists ? 'add' : 'delete', set, element);
        if (slice.spent) await slice.next();
      }
    const rules = markRules(marks, this.#served);
    if (rules.join() !== this.#marks.join()) transactions.command(markCommands(table, rules));
    this.#marks = rules;
    this.#follow(transactions);
    return transactions.all;
  }

  /** Sets the VIPs that the director holds, and returns the transactions that carry it out. */
  hold(table: string, held: ReadonlySet<string>): string[] {
    const transactions = new Transactions(table);
    const { added, removed } = this.#lifetime.hold(held);
    for (const [set, element] of added) transactions.element('add', set, element);
    for (const [set, element] of removed) transactions.element('delete', set, element);
    this.#follow(transactions);
    return transactions.all;
  }

  /** Lets the table outlast its lifetime, or no longer. */
  #follow(transactions: Transactions): void {
    const change = this.#lifetime.takeChange();
    for (const [set, element] of change?.elements ?? [])
      transactions.element(change?.lasts ? 'add' : 'delete', set, element);
  }

  /** Resolves with the transactions that fill a new table. Works in slices. */
  async all(table: string): Promise<string[]> {
    const slice = new Slice();
    const transactions = new Transactions(table);
    for (const [set, elements] of this.#elements)
      for (const element of elements.keys()) {
        transactions.element('add', set, element);
        if (slice.spent) await slice.next();
      }
    for (const [set, element] of this.#lifetime.elements) transactions.element('add', set, element);
    if (this.#marks.length > 0) transactions.command(markCommands(table, this.#marks));
    return transactions.all;
  }
}

/** Collects commands into transactions of a limited length; additions come before removals. */
class Transactions {
  readonly #table: string;
  readonly #elements = { add: new Map<string, string[]>(), delete: new Map<string, string[]>() };
  #count = 0;
  readonly #done: string[] = [];
  readonly #removals: string[] = [];

  constructor(table: string) {
    this.#table = table;
  }

  element(verb: 'add' | 'delete', set: string, element: string): void {
    entryOf(this.#elements[verb], set, () => [] as string[]).push(element);
    if (++this.#count >= ELEMENTS_PER_TRANSACTION) this.#end();
  }

  command(text: string): void {
    this.#end();
    this.#done.push(text);
  }

  get all(): string[] {
    this.#end();
    return [...this.#done, ...this.#removals];
  }

  #end(): void {
    this.#count = 0;
    for (const [verb, list] of [
      ['add', this.#done],
      ['delete', this.#removals],
    ] as const) {
      const commands = [...this.#elements[verb]].map(
        ([set, elements]) => `${verb} element netdev ${this.#table} ${set} { ${elements.join(', ')} }`,
      );
      this.#elements[verb].clear();
      if (commands.length > 0) list.push(commands.join('; '));
    }
  }
}

/** Returns set and element of each kind of packet that a part is responsible for. */
function elementsOf({ service, destination }: OwnedPart): [set: string, element: string][] {
  if (destination) {
    if (destination.method !== 'nat') return [];
    const family = familyOf(destination.address);
    if (!family) return [];
    return [
      ...protocolsOf(service).flatMap((protocol) =>
        endsOf('reply', destination.address, protocol, guardedReplyPort(service, destination)),
      ),
      [`servers${family}`, destination.address],
    ];
  }
  if (!('address' in service)) return [];
  return endsOf('request', service.address, service.protocol, guardedPort(service));
}

/** `port`: 0 stands for every port. */
function endsOf(
  side: Side,
  address: string,
  protocol: Protocol,
  port: number,
): [set: string, element: string][] {
  const family = familyOf(address);
  if (!family) return [];
  const [ends, hosts, fragments] = SIDES[side].sets;
  const host = `${address} . ${PROTOCOL_NUMBERS[protocol]}`;
  return [
    port === 0 ? [`${hosts}${family}`, host] : [`${ends}${family}`, `${host} . ${port}`],
    [`${fragments}${family}`, host],
  ];
}

function entryOf<V>(map: Map<string, V>, key: string, create: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = create();
  map.set(key, made);
  return made;
}

const markCommands = (table: string, rules: readonly string[]): string =>
  [
    `flush chain netdev ${table} marks`,
    ...rules.map((rule) => `add rule netdev ${table} marks ${rule}`),
  ].join('; ');

/** Returns a rule per mark, in the order of the marks: the first match decides, with a service (drop) or without (accept). */
function markRules(marks: readonly MarkRule[], served: ReadonlyMap<string, number>): string[] {
  if (served.size === 0) return [];
  return marks.flatMap((rule) =>
    FAMILIES.flatMap((family) => {
      const matches = markMatches(rule, family);
      return matches ? [`${matches} ${served.has(`${rule.mark}/${family}`) ? 'drop' : 'accept'}`] : [];
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

const familyOf = (address: string): Family | undefined =>
  isIPv4(address) ? 4 : isIPv6(address) ? 6 : undefined;

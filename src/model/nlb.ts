/** A cluster without a director: servers that share addresses, each accepting its part of the clients. */

import type { Check } from './check.ts';

export const MAC_MODES = ['unicast', 'multicast', 'igmp'] as const;
export type MacMode = (typeof MAC_MODES)[number];

/** What identifies a client: address and port, address, or network (IPv4: /24, IPv6: /64). */
export const AFFINITIES = ['none', 'single', 'network'] as const;
export type Affinity = (typeof AFFINITIES)[number];

/** How the hosts share a rule: by weights, by priority with one host at a time, or not at all. */
export const RULE_HOSTS = ['multiple', 'single', 'disabled'] as const;
export type RuleHosts = (typeof RULE_HOSTS)[number];

/** Greatest id of a host. */
export const MAX_HOSTS = 32;
/** Rules of a file; a heartbeat has a weight for each. */
export const MAX_RULES = 16;
export const MAX_WEIGHT = 100;

export interface NlbHost {
  /** 1 to MAX_HOSTS; the lowest one is the default host and the coordinator. */
  readonly id: number;
  /** The name in the file. */
  readonly name: string;
  /** The host's own address. */
  readonly address: string;
}

export interface PortRule {
  /** any: packets that no other rule matches, and ICMP. */
  readonly protocol: 'tcp' | 'udp' | 'any';
  /** One of the cluster's addresses; missing: all. */
  readonly address?: string;
  readonly first: number;
  readonly last: number;
  readonly hosts: RuleHosts;
  readonly affinity: Affinity;
  /** Seconds without packets after which a client may go to another host that owns its place by then; 0: at once. */
  readonly stickiness: number;
  /** How each host checks its own service. */
  readonly check?: Check;
  /** Weights by host id, 0 to MAX_WEIGHT. */
  readonly weights: ReadonlyMap<number, number>;
  /** Host ids, the preferred one first (single). */
  readonly priorities: readonly number[];
}

export interface NlbCluster {
  readonly device: string;
  readonly addresses: readonly string[];
  readonly mac: MacMode;
  /** ms between heartbeats. */
  readonly period: number;
  readonly missed: number;
  /** Authenticates heartbeats. */
  readonly key: string;
  /** Whether the weights of hosts follow the load of their machines. */
  readonly followsLoad: boolean;
  readonly hosts: readonly NlbHost[];
  /** The last one has the protocol any: the default host's. */
  readonly rules: readonly PortRule[];
}

/** Returns a description of what a rule matches: tcp 80-81, udp 192.0.2.1:53, other packets. */
export function describeRule({ protocol, address, first, last }: PortRule): string {
  if (protocol === 'any') return 'other packets';
  const ports = first === last ? `${first}` : `${first}-${last}`;
  if (address === undefined) return `${protocol} ${ports}`;
  return `${protocol} ${address.includes(':') ? `[${address}]` : address}:${ports}`;
}

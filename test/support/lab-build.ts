/** Turns a laboratory's plan into namespaces, bridges, cables, addresses and routes. */
import { spawnSync } from 'node:child_process';
import type { HostPlan, Interface, Topology } from './lab-plan.ts';

/** Settings of every host that must not depend on the machine around. */
const SYSCTLS = [
  'net.ipv4.conf.all.rp_filter=0',
  'net.ipv4.conf.default.rp_filter=0',
  'net.ipv6.conf.all.accept_dad=0',
  'net.ipv6.conf.default.accept_dad=0',
];
/**
 * Index of a host's first interface. Where both ends of a veth have the same index in their namespaces, Linux takes
 * the pair for a lone device and reports its carrier up to a second late (net/core/link_watch.c, 6.1).
 */
const FIRST_INDEX = 100;
/** Words of `ethtool -K`: the sender computes checksums and cuts segments itself. */
export const NO_OFFLOADS = 'tx off rx off sg off tso off gso off gro off'.split(' ');

export interface BuildOptions {
  readonly topology: Topology;
  readonly offloads: 'on' | 'off';
  /** Words in front of every command. */
  readonly prefix: readonly string[];
  /** The namespace of a host or a segment. */
  readonly namespace: (name: string) => string;
}

export function buildLab({ topology, offloads, prefix, namespace }: BuildOptions): void {
  const command = (words: readonly string[], input = '') => {
    const [file, ...args] = [...prefix, ...words];
    const { status, stderr, error } = spawnSync(file!, args, { input, encoding: 'utf8' });
    if (error) throw error;
    if (status !== 0) throw new Error(`${words.join(' ')}: ${stderr.trim()}\n${input}`.trim());
  };
  const within = (name: string, ...words: string[]) =>
    command(['ip', 'netns', 'exec', namespace(name), ...words]);
  const ip = (name: string, lines: readonly string[]) => {
    const six = lines.filter((line) => line.startsWith('-6 ')).map((line) => line.slice(3));
    const four = lines.filter((line) => !line.startsWith('-6 '));
    command(['ip', '-n', namespace(name), '-batch', '-'], `${four.join('\n')}\n`);
    if (six.length > 0) command(['ip', '-6', '-n', namespace(name), '-batch', '-'], `${six.join('\n')}\n`);
  };
  /** An interface and its other end, named after the host, on the segment. */
  const cable = (host: HostPlan, { name, segment, mac, address, address6 }: Interface, i: number) => [
    `link add ${name} index ${FIRST_INDEX + i} address ${mac} type veth peer name ${host.name} netns ${namespace(segment)}`,
    `link set ${name} up`,
    `address add ${address}/24 broadcast + dev ${name}`,
    ...(address6 === undefined ? [] : [`address add ${address6}/64 dev ${name} nodad`]),
  ];

  const names = [...topology.segments, ...topology.hosts.map(({ name }) => name)];
  command(['ip', '-batch', '-'], names.map((name) => `netns add ${namespace(name)}\n`).join(''));
  for (const segment of topology.segments)
    ip(segment, ['link set lo up', 'link add br0 type bridge mcast_snooping 0', 'link set br0 up']);
  for (const host of topology.hosts) {
    within(host.name, 'sysctl', '-qw', ...SYSCTLS, ...host.sysctls);
    ip(host.name, ['link set lo up', ...host.interfaces.flatMap((link, i) => cable(host, link, i))]);
    for (const link of host.interfaces) {
      ip(link.segment, [`link set ${host.name} master br0 up`]);
      if (offloads === 'off') within(host.name, 'ethtool', '-K', link.name, ...NO_OFFLOADS);
    }
    if (host.routes.length > 0) ip(host.name, host.routes);
  }
}

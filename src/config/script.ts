/**
 * Renders a document as one shell script for every host of the cluster; the script derives the role from the
 * host's addresses.
 */
import { isIP } from 'node:net';
import { markMatch } from '../host/mark-match.ts';
import type { MarkRule } from '../model/command.ts';
import type { Document, Interface } from './document.ts';

/** Default device of the VIP on real servers. */
const LOOPBACK = 'lo';

/**
 * Returns the script. `rules`: the director's rules as lines of `ipvsadm -R`; `daemons`: arguments of ipvsadm that start
 * its sync daemons. It needs sh, ip, sysctl, ipvsadm and root; running it twice changes nothing.
 */
export function writeScript(
  document: Document,
  rules: readonly string[],
  daemons: readonly string[] = [],
): string {
  const { method, vips, director, realServers } = document;
  const servers = [
    ...new Set(
      document.services.flatMap(({ destinations, sorry = [] }) =>
        [...destinations, ...sorry].map((one) => one.destination.address),
      ),
    ),
  ];
  const gateway = realServers.gateway ?? (method === 'nat' ? director.inside?.address : undefined);
  const taken = document.active ? vips : []; // those of a standby belong to the other director
  const network = vips.some((vip) => isIP(vip.address) === 6);
  return `#!/bin/sh
# The hosts of one Linux Virtual Server (${method}): run it on each; the host's addresses tell its role.
set -eu

has() { ip -o addr show | grep -qF -- " $1/"; }
add() { has "\${1%/*}" || ip addr add "$@"; }

director() {
  echo 'role: director'
${sysctls([
  [`net.ipv4.ip_forward`, method === 'nat' ? 1 : 0],
  ['net.ipv4.conf.all.send_redirects', method === 'nat' ? 0 : 1],
  ...(network && method === 'nat' ? ([['net.ipv6.conf.all.forwarding', 1]] as const) : []),
])}
${taken.map(directorVip).join('\n') || '  : # no VIP'}
${director.gateway && isIP(director.gateway) !== 0 ? `  ip route replace default via ${director.gateway}\n` : ''}${marksScript(document.marks)}  ipvsadm -C
${kernelSettings(document.settings)}  ipvsadm -R <<'RULES'
${rules.join('\n')}
RULES
${daemonStarts(daemons)}  ipvsadm -L -n
}

real_server() {
  echo "role: real server $1"
${method === 'nat' ? natServer(gateway) : silentServer(document, gateway)}
}

for address in ${director.inside?.address ?? ''}; do
  if has "$address"; then director; exit 0; fi
done
for address in ${servers.join(' ')}; do
  if has "$address"; then real_server "$address"; exit 0; fi
done
echo 'this host has no address of the cluster: neither ${director.inside?.address ?? 'a director'} nor a real server' >&2
exit 1
`;
}

/**
 * Returns lines for the settings that only the kernel's IPVS has; this program reads them from its
 * configuration.
 */
const kernelSettings = (settings: Document['settings']): string =>
  Object.entries(settings)
    .map(
      ([name, value]) =>
        `  [ ! -e /proc/sys/net/ipv4/vs/${name} ] || sysctl -qw net.ipv4.vs.${name}=${value}\n`,
    )
    .join('');

/** Returns lines that restart sync daemons: the rules are complete then. */
const daemonStarts = (daemons: readonly string[]): string =>
  daemons
    .map((line) => {
      const stop = line.split(' ', 2).join(' ').replace('start', 'stop');
      return `  ipvsadm ${stop} 2>/dev/null || :\n  ipvsadm ${line}\n`;
    })
    .join('');

const sysctls = (values: readonly (readonly [name: string, value: number])[]): string =>
  values.map(([name, value]) => `  sysctl -qw ${name}=${value}`).join('\n');

/** Returns the prefix length of a single address. */
const single = (address: string): number => (isIP(address) === 6 ? 128 : 32);

const label = (device: string, alias: string | undefined): string =>
  alias ? ` label ${device}:${alias}` : '';

const directorVip = ({ device, alias, address }: Interface): string =>
  `  add ${address}/${single(address)} dev ${device}${isIP(address) === 4 ? label(device, alias) : ' nodad'}`;

const natServer = (gateway: string | undefined): string =>
  [
    sysctls([['net.ipv4.ip_forward', 0]]),
    gateway && isIP(gateway) !== 0 ? `  ip route replace default via ${gateway}` : '  : # no gateway known',
  ].join('\n');

/**
 * Returns the lines of a server of dr or tunnel, which has the VIP without answering ARP for it. The sysctls
 * come before the address.
 */
function silentServer({ method, vips, realServers }: Document, gateway: string | undefined): string {
  const device = (realServers.vipDevice ?? LOOPBACK).split(':')[0]!;
  return [
    `  device=${device}; ip link show dev "$device" >/dev/null 2>&1 || device=${LOOPBACK}`,
    ...(method === 'tunnel'
      ? [
          '  modprobe ipip 2>/dev/null || :',
          '  if ip link show dev tunl0 >/dev/null 2>&1; then device=tunl0; ip link set tunl0 up',
          "  else echo 'no tunl0 here: lvs-realserver run takes the packets out of the tunnel' >&2; fi",
          '  sysctl -qw net.ipv4.conf.all.rp_filter=0 "net.ipv4.conf.$device.rp_filter=0"',
        ]
      : []),
    sysctls([
      ['net.ipv4.ip_forward', 0],
      ['net.ipv4.conf.all.arp_ignore', 1],
      ['net.ipv4.conf.all.arp_announce', 2],
    ]),
    '  sysctl -qw "net.ipv4.conf.$device.arp_ignore=1" "net.ipv4.conf.$device.arp_announce=2"',
    ...vips.map(({ address }) =>
      isIP(address) === 6
        ? `  add ${address}/128 dev lo nodad`
        : `  add ${address}/32 dev "$device" scope host`,
    ),
    ...(gateway && isIP(gateway) !== 0 ? [`  ip route replace default via ${gateway}`] : []),
  ].join('\n');
}

const TABLE = 'lvs_marks';

/** Returns the lines; an empty text for no rules. Running the lines again re-creates the table. */
export function marksScript(rules: readonly MarkRule[]): string {
  if (rules.length === 0) return '';
  return `  nft -f - <<'MARKS'
table inet ${TABLE} {}
delete table inet ${TABLE}
table inet ${TABLE} {
  chain prerouting {
    type filter hook prerouting priority mangle;
${rules.map((rule) => `    ${ruleLine(rule)}\n`).join('')}  }
}
MARKS
`;
}

/** Accepts the packet once it is marked: the first matching rule decides. */
const ruleLine = (rule: MarkRule): string =>
  `${markMatch(rule)} meta mark set ${rule.mark} accept`.trimStart();

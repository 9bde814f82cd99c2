/** A document as one shell script for every host of the cluster: it finds its role from the host's own addresses. */
import { isIP } from 'node:net';
import { markMatch } from '../host/mark-match.ts';
import type { MarkRule } from '../model/command.ts';
import type { Document, Interface } from './document.ts';

/** Device that keeps the VIP on real servers where the document names none. */
const LOOPBACK = 'lo';

/**
 * `rules`: the director's rules as lines of `ipvsadm -R`.
 * The script runs with sh, ip, sysctl and ipvsadm, as root; running it twice changes nothing.
 */
export function writeScript(document: Document, rules: readonly string[]): string {
  const { method, vips, director, realServers } = document;
  const servers = [
    ...new Set(document.services.flatMap((each) => each.destinations.map((one) => one.destination.address))),
  ];
  const gateway = realServers.gateway ?? (method === 'nat' ? director.inside?.address : undefined);
  const taken = document.active ? vips : []; // a standby leaves them to the other director
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
  ipvsadm -L -n
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

/** Only a kernel that forwards by itself has these; a director in a program reads them from its own file. */
const kernelSettings = (settings: Document['settings']): string =>
  Object.entries(settings)
    .map(
      ([name, value]) =>
        `  [ ! -e /proc/sys/net/ipv4/vs/${name} ] || sysctl -qw net.ipv4.vs.${name}=${value}\n`,
    )
    .join('');

const sysctls = (values: readonly (readonly [name: string, value: number])[]): string =>
  values.map(([name, value]) => `  sysctl -qw ${name}=${value}`).join('\n');

/** Returns the bits of a single address. */
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

/** Returns a server of dr or tunnel: it has the VIP but never says so. The sysctls come before the address. */
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

/** Returns an empty text for no rules. Running the lines again re-creates the table. */
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

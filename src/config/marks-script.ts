/** Marks' rules as shell lines that give them to the kernel's firewall: nft, in a table of their own. */
import type { MarkRule } from '../model/command.ts';

const TABLE = 'lvs_marks';

/** Nothing where there are no marks; run again, the table is made anew. */
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

/** Accepted as soon as it is marked: the first rule that fits wins. A port without a protocol is of any that has ports. */
function ruleLine({ mark, to, from, protocol, port }: MarkRule): string {
  const name = protocol === 'icmpv6' ? 'ipv6-icmp' : (protocol ?? '{ tcp, udp, sctp }');
  return [
    ...end('daddr', to),
    ...end('saddr', from),
    ...(protocol !== undefined || port !== undefined ? [`meta l4proto ${name}`] : []),
    ...(port === undefined ? [] : [`th dport ${typeof port === 'number' ? port : port.join('-')}`]),
    `meta mark set ${mark} accept`,
  ].join(' ');
}

const end = (which: 'daddr' | 'saddr', address: string | undefined): string[] =>
  address === undefined ? [] : [`${address.includes(':') ? 'ip6' : 'ip'} ${which} ${address}`];

/** Renders the nft expression that matches the packets of a mark rule: the one renderer for guard and script. */
import type { MarkRule } from '../model/command.ts';

/** The protocols with ports that IPVS balances. */
export const PORT_PROTOCOLS = 'meta l4proto { tcp, udp, sctp }';

/** Returns the expression, empty for a rule that matches every packet. A port without a protocol means any that has ports. */
export function markMatch({ to, from, protocol, port }: MarkRule): string {
  return [
    ...addressMatch('daddr', to),
    ...addressMatch('saddr', from),
    ...protocolMatch(protocol, port !== undefined),
    ...(port === undefined ? [] : [`th dport ${typeof port === 'number' ? port : port.join('-')}`]),
  ].join(' ');
}

function protocolMatch(protocol: MarkRule['protocol'], hasPort: boolean): string[] {
  if (protocol !== undefined) return [`meta l4proto ${protocol === 'icmpv6' ? 'ipv6-icmp' : protocol}`];
  return hasPort ? [PORT_PROTOCOLS] : [];
}

const addressMatch = (side: 'daddr' | 'saddr', address: string | undefined): string[] =>
  address === undefined ? [] : [`${address.includes(':') ? 'ip6' : 'ip'} ${side} ${address}`];

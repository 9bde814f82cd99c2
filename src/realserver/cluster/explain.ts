/** Explains which host of a cluster accepts a client. */
import { isIPv6 } from 'node:net';
import { LvsError } from '../../model/errors.ts';
import { describeRule, type NlbCluster, type PortRule } from '../../model/nlb.ts';
import { placeSeed } from '../../nlb/assignment.ts';
import { placeOf } from '../../nlb/client-hash.ts';
import { parseAddress } from '../../wire/address.ts';

export interface Explanation {
  readonly rule: string;
  readonly affinity: string;
  readonly place: number;
  /** Name of the host; missing: none accepts the client. */
  readonly host?: string;
}

/** Parses tcp/80; throws LvsError CONFIG for other text. */
export function parseRule(text: string): { readonly protocol: 'tcp' | 'udp'; readonly port: number } {
  const [, protocol, port] = /^(tcp|udp)\/(\d{1,5})$/.exec(text) ?? [];
  if (protocol === undefined || Number(port) < 1 || Number(port) > 65_535)
    throw new LvsError('CONFIG', `invalid rule '${text}': expected tcp/PORT or udp/PORT`);
  return { protocol: protocol as 'tcp' | 'udp', port: Number(port) };
}

/** Returns the indices of the rules that the text names: those with the protocol and port, at any address. */
export function rulesNamed(rules: readonly PortRule[], text: string): number[] {
  const { protocol, port } = parseRule(text);
  const found = [...rules.keys()].filter((i) => matches(rules[i]!, protocol, port));
  if (found.length > 0) return found;
  const known = rules.map(describeRule).join(', ');
  throw new LvsError('CONFIG', `rule ${text}: not found: the rules are ${known}`);
}

const matches = (rule: PortRule, protocol: string, port: number): boolean =>
  rule.protocol === protocol && rule.first <= port && port <= rule.last;

export interface Client {
  readonly from: string;
  readonly port: number;
  readonly rule: string;
  readonly to?: string;
}

/** `ownerOf`: returns the id of the owner of a place. Throws LvsError CONFIG for invalid text. */
export function explainClient(
  cluster: NlbCluster,
  { from, port, rule: text, to }: Client,
  ownerOf: (rule: number, place: number) => number | undefined,
): Explanation {
  const address = parseAddress(from);
  if (!address) throw new LvsError('CONFIG', `invalid address '${from}': expected an IPv4 or IPv6 address`);
  const { protocol, port: servicePort } = parseRule(text);
  const target = to ?? cluster.addresses.find((each) => isIPv6(each) === isIPv6(from));
  const index = cluster.rules.findIndex(
    (each) =>
      each.protocol === 'any' ||
      (matches(each, protocol, servicePort) && (each.address === undefined || each.address === target)),
  );
  const rule = cluster.rules[index]!;
  const place = placeOf(rule.affinity, address, port, placeSeed(cluster));
  const owner = rule.hosts === 'disabled' ? undefined : ownerOf(index, place);
  const host = cluster.hosts.find(({ id }) => id === owner)?.name;
  return { rule: describeRule(rule), affinity: rule.affinity, place, ...(host !== undefined && { host }) };
}

/** Returns the explanation as text. */
export function formatExplanation({ rule, affinity, place, host }: Explanation): string {
  const how = { none: 'address and port', single: 'address', network: 'network' }[affinity];
  if (host === undefined) return `no host accepts the client (rule ${rule})`;
  return `${host} accepts the client: rule ${rule}, place ${place} by its ${how}`;
}

/** Expands the cluster of lvs.yaml (mode: nlb), and checks it. */

import { usesPort } from '../../model/check.ts';
import type { NlbCluster, NlbHost, PortRule } from '../../model/nlb.ts';
import { canonical, familyOfText, isMulticastGroup } from '../canonical-address.ts';
import { didYouMean } from '../problem.ts';
import type { YamlFile } from '../schema.ts';
import { checkOf } from './checks.ts';
import type { Path } from './position.ts';
import type { YamlContext } from './yaml-context.ts';

type YamlCluster = NonNullable<YamlFile['cluster']>;
type YamlRule = NonNullable<YamlCluster['rules']>[number];

const DEFAULT_HEARTBEAT_SECONDS = 0.2;
const DEFAULT_MISSED = 5;
const DEFAULT_WEIGHT = 50;
const MAX_PORT = 65_535;

/** Sections of a director, which a cluster does not have. */
const DIRECTOR_SECTIONS = [
  'services',
  'vips',
  'director',
  'marks',
  'sync',
  'join',
  'deny',
  'allow',
  'groups',
  'defaults',
  'method',
] as const;

export async function expandCluster(context: YamlContext): Promise<NlbCluster | undefined> {
  const { file, notes, place } = context;
  const { cluster } = file;
  if (!cluster) {
    if (!context.whole) return undefined;
    if (file.mode !== undefined) notes.error(place(['mode']), 'mode nlb requires the section cluster');
    else if (!file.services) notes.error(place([]), "missing key 'services'");
    return undefined;
  }
  if (file.mode === undefined && context.whole) notes.error(place(['cluster']), 'cluster requires mode: nlb');
  for (const section of DIRECTOR_SECTIONS)
    if (file[section] !== undefined && (section !== 'services' || file.services?.length))
      notes.error(
        place([section]),
        `${section} belongs to a director: not supported together with mode: nlb`,
      );
  const addresses = addressesOf(context, cluster);
  const hosts = await hostsOf(context, cluster, addresses);
  return {
    device: cluster.interface,
    addresses,
    mac: cluster.mac ?? 'unicast',
    period: Math.round((cluster.heartbeat ?? DEFAULT_HEARTBEAT_SECONDS) * 1000),
    missed: cluster.missed ?? DEFAULT_MISSED,
    key: cluster.key,
    followsLoad: cluster['follow-load'] ?? false,
    hosts,
    rules: rulesOf(context, cluster, hosts, addresses),
  };
}

function addressesOf({ notes, place }: YamlContext, { addresses, mac }: YamlCluster): string[] {
  const found: string[] = [];
  for (const [i, text] of addresses.entries()) {
    const at = place(['cluster', 'addresses', i]);
    const address = canonical(text);
    if (familyOfText(text) === 0 || isMulticastGroup(text))
      notes.error(at, `invalid address '${text}': expected an IPv4 or IPv6 address of a host`);
    else if (found.includes(address)) notes.error(at, `duplicate address ${address}`);
    else found.push(address);
  }
  if (mac === 'igmp' && found.length > 0 && !found.some((address) => familyOfText(address) === 4))
    notes.error(
      place(['cluster', 'mac']),
      'mac igmp requires an IPv4 address of the cluster: the group and the MAC address have its last two bytes',
    );
  return found;
}

async function hostsOf(
  { notes, place, names }: YamlContext,
  { hosts }: YamlCluster,
  addresses: readonly string[],
): Promise<NlbHost[]> {
  const found: (NlbHost & { readonly path: Path })[] = [];
  for (const [i, { server, id }] of hosts.entries()) {
    const path: Path = ['cluster', 'hosts', i];
    const at = place([...path, 'server']);
    const resolved = familyOfText(server) === 0 ? await names.host(server) : server;
    if (resolved === undefined) {
      notes.error(at, `'${server}' has no address: expected an address, or a name in /etc/hosts`);
      continue;
    }
    const address = canonical(resolved);
    const line = (other: { readonly path: Path }) => place(other.path).line;
    const sameId = found.find((each) => each.id === id);
    if (sameId)
      notes.error(
        place([...path, 'id']),
        `duplicate id ${id} (first on line ${line(sameId)}): priorities of hosts must differ`,
      );
    const sameAddress = found.find((each) => each.address === address);
    if (sameAddress) notes.error(at, `duplicate host ${address} (first on line ${line(sameAddress)})`);
    if (addresses.includes(address))
      notes.error(
        at,
        `invalid host ${address}: it is an address of the cluster; expected the server's own address`,
      );
    found.push({ id, name: server, address, path });
  }
  return found.map(({ id, name, address }) => ({ id, name, address })).sort((a, b) => a.id - b.id);
}

function rulesOf(
  context: YamlContext,
  cluster: YamlCluster,
  hosts: readonly NlbHost[],
  addresses: readonly string[],
): PortRule[] {
  const { notes, place } = context;
  const rules: PortRule[] = [];
  for (const [i, each] of (cluster.rules ?? []).entries()) {
    const path: Path = ['cluster', 'rules', i];
    const rule = ruleOf(context, { cluster, hosts, addresses }, each, path);
    if (!rule) continue;
    const other = rules.find((one) => overlap(one, rule));
    if (other)
      notes.error(
        place(path),
        `the ports of this rule overlap those of another one: ${other.first}-${other.last}`,
      );
    rules.push(rule);
  }
  rules.push({
    protocol: 'any',
    first: 0,
    last: MAX_PORT,
    hosts: 'single',
    affinity: 'single',
    stickiness: 0,
    weights: new Map(),
    priorities: hosts.map(({ id }) => id),
  });
  return rules;
}

const overlap = (a: PortRule, b: PortRule): boolean =>
  a.protocol === b.protocol &&
  a.first <= b.last &&
  b.first <= a.last &&
  (a.address === undefined || b.address === undefined || a.address === b.address);

interface Around {
  readonly cluster: YamlCluster;
  readonly hosts: readonly NlbHost[];
  readonly addresses: readonly string[];
}

function ruleOf(
  context: YamlContext,
  { cluster, hosts, addresses }: Around,
  each: YamlRule,
  path: Path,
): PortRule | undefined {
  const { notes, place } = context;
  const protocol = each.tcp !== undefined ? 'tcp' : 'udp';
  const [first = 0, last = first] = String(each[protocol]).split('-').map(Number);
  if (!(first >= 1 && first <= last && last <= MAX_PORT))
    return notes.error(
      place([...path, protocol]),
      `invalid ports '${each[protocol]}': expected a port or first-last, from 1 to ${MAX_PORT}`,
    );
  const kind = each.hosts ?? 'multiple';
  const affinity = each.affinity ?? cluster.affinity ?? 'single';
  if (protocol === 'udp' && affinity === 'none')
    notes.error(
      place(each.affinity ? [...path, 'affinity'] : path),
      'affinity none is not supported for udp: fragments have no ports (use single or network)',
    );
  const stickiness = kind === 'disabled' ? 0 : (each.stickiness ?? cluster.stickiness ?? 0);
  if (affinity === 'none' && each.stickiness)
    notes.error(
      place([...path, 'stickiness']),
      'stickiness requires affinity single or network: with none, each connection is another client',
    );
  const check =
    each.check && typeof each.check !== 'string'
      ? checkOf(context, each.check, [...path, 'check'])
      : undefined;
  if (check?.user !== undefined)
    notes.error(
      place([...path, 'check', 'user']),
      'the check of a rule has no user: it runs as the user of lvs-realserver',
    );
  if (check?.dynamic)
    notes.error(
      place([...path, 'check', 'dynamic']),
      'the check of a rule has no dynamic weight: use an agent',
    );
  if (check && check.port === undefined && first !== last && usesPort(check))
    notes.error(place([...path, 'check']), 'check of several ports: expected the key port');
  const address = each.address === undefined ? undefined : canonical(each.address);
  if (address !== undefined && !addresses.includes(address))
    notes.error(place([...path, 'address']), `${address} is not among the addresses of the cluster`);
  const idOf = (name: string, key: 'weights' | 'priorities') => {
    const host = hosts.find((one) => one.name === name || one.address === canonical(name));
    if (host) return host.id;
    const near =
      didYouMean(
        name,
        hosts.map((one) => one.name),
      ) || ': expected a server of hosts';
    return notes.error(place([...path, key]), `unknown host '${name}'${near}`);
  };
  if (each.weights && kind !== 'multiple')
    notes.error(place([...path, 'weights']), `weights require hosts: multiple, not ${kind}`);
  if (each.priorities && kind !== 'single')
    notes.error(place([...path, 'priorities']), `priorities require hosts: single, not ${kind}`);
  const weights = new Map(
    cluster.hosts.map(({ id, weight = DEFAULT_WEIGHT }) => [id, weight] as [number, number]),
  );
  for (const [name, weight] of Object.entries(each.weights ?? {})) {
    const id = idOf(name, 'weights');
    if (id !== undefined) weights.set(id, weight);
  }
  const chosen = (each.priorities ?? []).flatMap((name) => idOf(name, 'priorities') ?? []);
  if (new Set(chosen).size < chosen.length) notes.error(place([...path, 'priorities']), 'duplicate host');
  return {
    protocol,
    ...(address !== undefined && { address }),
    first,
    last,
    hosts: kind,
    affinity,
    stickiness: affinity === 'none' ? 0 : stickiness,
    ...(check && { check }),
    weights,
    priorities: [...new Set([...chosen, ...hosts.map(({ id }) => id)])],
  };
}

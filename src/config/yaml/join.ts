/** Expands the parts of lvs.yaml about servers that join by themselves. */
import { canonicalPrefix } from '../access-list.ts';
import { canonical, isMulticastGroup } from '../canonical-address.ts';
import { DEFAULT_JOIN, DEFAULT_SERVICE_JOIN, type JoinDocument, type JoinLimits } from '../document.ts';
import type { YamlFile } from '../schema.ts';
import type { Path } from './position.ts';
import type { YamlContext } from './yaml-context.ts';

/** Heartbeats within the timeout: two may be lost, and the loss of many servers is recognized. */
const MIN_HEARTBEATS = 4;

/** Keys that mean nothing without heartbeats. */
const OF_HEARTBEATS = ['group', 'port', 'heartbeat', 'timeout'] as const;

export function expandJoin(context: YamlContext): JoinDocument | undefined {
  const { file, notes, place } = context;
  if (file.join === undefined) return undefined;
  checkHeartbeats(file.join, context);
  const { interface: device, group = DEFAULT_JOIN.group, port = DEFAULT_JOIN.port, heartbeat } = file.join;
  const { 'key-file': keyFile, networks, 'max-servers': maxServers = DEFAULT_JOIN.maxServers } = file.join;
  const period = heartbeat === undefined ? DEFAULT_JOIN.period : Math.round(heartbeat * 1000);
  const timeout =
    file.join.timeout === undefined
      ? Math.max(DEFAULT_JOIN.timeout, MIN_HEARTBEATS * period)
      : Math.round(file.join.timeout * 1000);
  if (timeout < MIN_HEARTBEATS * period)
    notes.error(
      place(['join', 'timeout']),
      `invalid timeout ${timeout / 1000}: expected at least ${MIN_HEARTBEATS} heartbeats, ${(MIN_HEARTBEATS * period) / 1000} s`,
    );
  if (!isMulticastGroup(group))
    notes.error(
      place(['join', 'group']),
      `invalid group '${group}': expected a multicast address such as 224.0.0.81 or ff02::81`,
    );
  const prefixes = networks?.flatMap((text, i) => {
    const read = canonicalPrefix(text);
    if ('prefix' in read) return read.prefix;
    notes.error(place(['join', 'networks', i]), `invalid prefix '${text}': ${read.problem}`);
    return [];
  });
  return notes.at(place(['join']), {
    ...(device !== undefined && keyFile !== undefined && { device, keyFile }),
    ...{ group: canonical(group), port, period, timeout, maxServers },
    ...(prefixes && { networks: prefixes }),
  });
}

/** Heartbeats need an interface and a key; without them, the networks of servers must be known. */
function checkHeartbeats(join: NonNullable<YamlFile['join']>, { notes, place }: YamlContext): void {
  const has = { interface: join.interface !== undefined, 'key-file': join['key-file'] !== undefined };
  if (has.interface !== has['key-file']) {
    const [given, missing] = has.interface ? ['interface', 'key-file'] : ['key-file', 'interface'];
    notes.error(
      place(['join', given]),
      `${missing} is missing: heartbeats need interface and key-file (neither: servers join by etcd alone)`,
    );
  }
  if (has.interface || has['key-file']) return;
  for (const key of OF_HEARTBEATS)
    if (join[key] !== undefined)
      notes.error(place(['join', key]), `${key} belongs to heartbeats: expected interface and key-file, too`);
  if (join.networks === undefined)
    notes.error(
      place(['join']),
      'networks is missing: expected the networks of servers that join by etcd, or interface and key-file for heartbeats',
    );
}

type Written = NonNullable<NonNullable<YamlFile['services']>[number]['join']>;

/** Returns the limits of servers that join a service; undefined: none may. `path`: of the key. */
export function joinLimitsOf(
  { file, notes, place, whole }: YamlContext,
  written: Written | undefined,
  path: Path,
): JoinLimits | undefined {
  if (written === undefined || written === false) return undefined;
  if (file.join === undefined && whole)
    return notes.error(
      place(path),
      'servers that join need the section join: with interface and key-file for heartbeats, or with networks for etcd',
    );
  const limits = written === true ? {} : written;
  return {
    maxServers: limits['max-servers'] ?? DEFAULT_SERVICE_JOIN.maxServers,
    maxWeight: limits['max-weight'] ?? DEFAULT_SERVICE_JOIN.maxWeight,
    slowStart: limits['slow-start'] ?? DEFAULT_SERVICE_JOIN.slowStart,
  };
}

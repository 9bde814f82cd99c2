/** What a reload would change, as lines for operators. */
import { type Step, stepsOf } from '../../config/reload/plan.ts';
import type { SyncSummary } from '../../control/director-api.ts';
import { type Moved, SAMPLED_CLIENTS } from '../../director/explain/moved-clients.ts';
import type { ListedService } from '../../model/entity-name.ts';
import { formatDestination, formatService } from '../../model/naming.ts';
import type { ServiceSnapshot, Snapshot } from '../../model/snapshot.ts';
import { summaryOf } from '../sync/sync-summary.ts';
import { changedLists } from './access-files.ts';
import type { ReadConfiguration, ReloadPlan } from './configuration-thread.ts';
import { unpacked } from './packed.ts';

/** Changes that a bounded plan looks at, and lines that it has. */
const MAX_CHANGES = 200;
const MAX_LINES = 100;
const MAX_LINE_CHARACTERS = 300;

export interface Plan {
  readonly steps: readonly Step[];
  /** Services that remain, and whose checks, sorry servers, quorum or programs change. */
  readonly checks: readonly string[];
  /** Deny and allow lists that change. */
  readonly lists: readonly string[];
  /** Changes of keys, peers and the port of bulk transfers. */
  readonly sync: readonly string[];
  /** Services and servers that get another name, as `object: old -> new`. */
  readonly names: readonly string[];
  /** VIPs that the director would add and remove, as `address device`. */
  readonly vips: { readonly added: readonly string[]; readonly removed: readonly string[] };
  /** Manual changes, and whether a reload keeps them. */
  readonly manualChanges: readonly string[];
  readonly adopt: 'keep' | 'replace';
  /** Shares of clients that would move, for services that hash. */
  readonly moved: readonly Moved[];
}

/** Returns the changes as text. Keys are named by identities, which reveal nothing about the secrets. */
export function syncChanges(
  after: SyncSummary | undefined,
  before: SyncSummary | undefined,
  hasKeyFile: boolean,
): string[] {
  const list = (words: readonly string[] | undefined) => words?.join(', ') || 'none';
  // A key file that this user cannot read is a warning.
  const isUnknown = hasKeyFile && after?.keys.length === 0;
  const values: (readonly [name: string, before: string, after: string])[] = [
    ['keys', list(before?.keys), isUnknown ? list(before?.keys) : list(after?.keys)],
    ['peers', list(before?.peers), list(after?.peers)],
  ];
  if (before && after) values.push(['bulk-port', `${before.bulkPort}`, `${after.bulkPort}`]);
  return values.flatMap(([name, from, to]) => (from === to ? [] : `sync ${name}: ${from} -> ${to}`));
}

/** Returns the objects that remain, and whose names change. */
export function changedNames(
  running: readonly ServiceSnapshot[],
  wanted: readonly ListedService[],
): string[] {
  const services = new Map(running.map((each) => [formatService(each.service), each]));
  return wanted.flatMap(({ service, name, destinations }) => {
    const key = formatService(service);
    const now = services.get(key);
    if (!now) return [];
    const servers = new Map(now.destinations.map((one) => [formatDestination(one), one]));
    return [
      changedName(key, now.name, name),
      ...destinations.map((one) => {
        const endpoint = formatDestination(one.destination);
        const known = servers.get(endpoint);
        return known ? changedName(`${key} -> ${endpoint}`, known.name, one.name) : '';
      }),
    ].filter((text) => text !== '');
  });
}

const changedName = (object: string, now: string | undefined, then: string | undefined): string =>
  now === then ? '' : `${object}: ${now ?? 'none'} -> ${then ?? 'none'}`;

const NO_CHANGES = 'no changes';
const SIGNS = { add: '+', change: '~', remove: '-' } as const;

export function formatPlan({
  steps,
  checks,
  names,
  lists,
  sync,
  vips,
  manualChanges,
  adopt,
  moved,
}: Plan): string {
  const lines = [
    ...vips.added.map((vip) => `+ VIP ${vip}`),
    ...steps.map(({ kind, what, how, connections }) => {
      const touched = connections > 0 ? ` (${connections} connections)` : '';
      return `${SIGNS[kind]} ${what}: ${how}${touched}`;
    }),
    ...checks.map((name) => `~ ${name}: health checks, sorry servers, quorum or programs`),
    ...lists.map((change) => `~ ${change}`),
    ...sync.map((change) => `~ ${change}`),
    ...names.map((name) => `~ name of ${name}`),
    ...vips.removed.map((vip) => `- VIP ${vip}`),
    ...moved.map(
      ({ service, share }) => `  ${formatService(service)}: ${percent(share)} of clients would move`,
    ),
    ...manualChanges.map((what) => `! changed with ipvsadm: ${what} (adopt: ${adopt})`),
  ];
  return lines.length === 0 ? `${NO_CHANGES}\n` : `${lines.join('\n')}\n`;
}

/** Formats a share as precisely as the sample allows. */
const percent = (share: number): string =>
  share < 1 / SAMPLED_CLIENTS ? '0 %' : `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;

/** The first lines of a plan, without numbers of connections, which differ between directors. */
export interface BoundedPlan {
  readonly lines: readonly string[];
  /** Changes that have no line. */
  readonly more: number;
  /** Live connections of the objects that change. */
  readonly connections: number;
}

/** Returns what a file would change on a director that runs with `before`. */
export function boundedPlan(
  wanted: ReadConfiguration,
  { commands, drains }: Pick<ReloadPlan, 'commands' | 'drains'>,
  before: Pick<ReadConfiguration, 'vips' | 'checks' | 'lists' | 'sync'> | undefined,
  snapshot: Snapshot,
): BoundedPlan {
  const some = { commands: first(unpacked(commands)), drains: first(unpacked(drains)), manualChanges: [] };
  const steps = stepsOf(snapshot, some, wanted.drain);
  const drained = `no new connections, removed when its connections end, at the latest after ${wanted.drain} s`;
  const served = new Set(snapshot.services.map(({ service }) => formatService(service)));
  const { checks, vips } = wanted;
  const names = new Set([...Object.keys(before?.checks ?? {}), ...Object.keys(checks)]);
  const listed = [...unpacked(wanted.listed)];
  const stays = new Set(listed.map(({ service }) => formatService(service)));
  const text = (each: { address: string; device: string }) => `${each.address} ${each.device}`;
  const [were, are] = [(before?.vips ?? []).map(text), vips.map(text)];
  const all = formatPlan({
    steps: steps.map((step) => ({
      ...step,
      connections: 0,
      how: step.kind === 'remove' && step.how === 'idle' ? drained : step.how,
    })),
    checks: [...names].filter(
      (name) => served.has(name) && stays.has(name) && checks[name] !== before?.checks[name],
    ),
    names: changedNames(snapshot.services, listed),
    lists: changedLists(before?.lists ?? {}, wanted.lists),
    sync: syncChanges(
      wanted.sync && summaryOf(wanted.sync),
      before?.sync && summaryOf(before.sync),
      wanted.sync !== undefined,
    ),
    vips: {
      added: are.filter((each) => !were.includes(each)),
      removed: were.filter((each) => !are.includes(each)),
    },
    ...{ manualChanges: [], adopt: wanted.adopt, moved: [] },
  })
    .split('\n')
    .filter((line) => line !== '' && line !== NO_CHANGES);
  return {
    lines: all.slice(0, MAX_LINES).map((line) => line.slice(0, MAX_LINE_CHARACTERS)),
    more:
      Math.max(0, all.length - MAX_LINES) +
      Math.max(0, commands.length - MAX_CHANGES) +
      Math.max(0, drains.length - MAX_CHANGES),
    connections: steps.reduce((sum, each) => sum + each.connections, 0),
  };
}

function first<T>(items: Iterable<T>): T[] {
  const found: T[] = [];
  for (const item of items) {
    if (found.length >= MAX_CHANGES) break;
    found.push(item);
  }
  return found;
}

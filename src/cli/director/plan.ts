/** `lvs-director plan`: prints what a reload with a file would change. */
import { listedOf } from '../../config/listed.ts';
import { changedChecks } from '../../config/reload/check-digests.ts';
import { type Step, stepsOf } from '../../config/reload/plan.ts';
import type { ConfigurationApi, DirectorApi, SyncSummary } from '../../control/director-api.ts';
import { type Moved, movedClients, SAMPLED_CLIENTS } from '../../director/explain/moved-clients.ts';
import type { Command } from '../../model/command.ts';
import type { ListedService } from '../../model/entity-name.ts';
import { formatDestination, formatService } from '../../model/naming.ts';
import type { ServiceSnapshot } from '../../model/snapshot.ts';
import { changedLists } from '../../runtime/access-files.ts';
import { type Loaded, loadConfiguration } from '../../runtime/configuration.ts';
import { reloadCommands, runningOf } from '../../runtime/reload.ts';
import { summaryOf } from '../../runtime/sync-summary.ts';

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

/** Asks the running director what it has, and changes nothing. Throws LvsError for a file that it could not apply. */
export async function planOf(
  wanted: Loaded,
  api: Pick<DirectorApi, 'snapshot'> & Pick<ConfigurationApi, 'configured'>,
): Promise<Plan> {
  const configuration = await api.configured();
  const before = { ...configuration, commands: [...configuration.commands] };
  const snapshot = await api.snapshot({ services: true });
  const reconciliation = reloadCommands(runningOf(snapshot), wanted.document, before);
  const { drain, adopt } = wanted.document;
  const served = new Set(snapshot.services.map(({ service }) => formatService(service)));
  const removals = reconciliation.drains.map(
    ({ service, destination }): Command =>
      destination ? { op: 'delete-destination', service, destination } : { op: 'delete-service', service },
  );
  const vips = wanted.vips.map(({ address, device }) => `${address} ${device}`);
  return {
    steps: stepsOf(snapshot, reconciliation, drain),
    names: changedNames(snapshot.services, listedOf(wanted.document)),
    checks: changedChecks(wanted.document, before.checks).filter((name) => served.has(name)),
    lists: changedLists(before.lists, wanted.access.digests),
    sync: syncChanges(wanted, before.sync),
    vips: {
      added: vips.filter((each) => !before.vips.includes(each)),
      removed: before.vips.filter((each) => !vips.includes(each)),
    },
    manualChanges: reconciliation.manualChanges,
    adopt,
    moved: movedClients(snapshot, [...reconciliation.commands, ...removals]).filter(({ share }) => share > 0),
  };
}

/** Returns the changes as text. Keys are named by identities, which reveal nothing about the secrets. */
function syncChanges({ document, sync }: Loaded, before: SyncSummary | undefined): string[] {
  const after = sync && summaryOf(sync);
  const list = (words: readonly string[] | undefined) => words?.join(', ') || 'none';
  // A key file that this user cannot read is a warning.
  const isUnknown = document.sync?.keyFile !== undefined && after?.keys.length === 0;
  const values: (readonly [name: string, before: string, after: string])[] = [
    ['keys', list(before?.keys), isUnknown ? list(before?.keys) : list(after?.keys)],
    ['peers', list(before?.peers), list(after?.peers)],
  ];
  if (before && after) values.push(['bulk-port', `${before.bulkPort}`, `${after.bulkPort}`]);
  return values.flatMap(([name, from, to]) => (from === to ? [] : `sync ${name}: ${from} -> ${to}`));
}

/** Returns the objects that remain, and whose names change. */
function changedNames(running: readonly ServiceSnapshot[], wanted: readonly ListedService[]): string[] {
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

/** Prints the plan of a file, as text or as JSON. */
export async function printPlan(
  path: string,
  json: boolean,
  api: Parameters<typeof planOf>[1],
  print: (text: string) => void,
  complain: (line: string) => void,
): Promise<void> {
  const wanted = await loadConfiguration(path);
  for (const warning of wanted.warnings) complain(warning);
  const plan = await planOf(wanted, api);
  print(json ? `${JSON.stringify(plan, null, 2)}\n` : formatPlan(plan));
}

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
  return lines.length === 0 ? 'no changes\n' : `${lines.join('\n')}\n`;
}

/** Formats a share as precisely as the sample allows. */
const percent = (share: number): string =>
  share < 1 / SAMPLED_CLIENTS ? '0 %' : `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;

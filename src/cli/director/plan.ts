/** `lvs-director plan`: prints what a reload with a file would change. */
import { listedOf } from '../../config/listed.ts';
import { changedChecks } from '../../config/reload/check-digests.ts';
import { stepsOf } from '../../config/reload/plan.ts';
import type { ConfigurationApi, DirectorApi } from '../../control/director-api.ts';
import { movedClients } from '../../director/explain/moved-clients.ts';
import type { Command } from '../../model/command.ts';
import { formatService } from '../../model/naming.ts';
import { changedLists } from '../../runtime/configuration/access-files.ts';
import { type Loaded, loadConfiguration } from '../../runtime/configuration/configuration.ts';
import { changedNames, formatPlan, type Plan, syncChanges } from '../../runtime/configuration/plan-text.ts';
import { reloadCommands, runningOf } from '../../runtime/configuration/reload.ts';
import { summaryOf } from '../../runtime/sync/sync-summary.ts';

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
    sync: syncChanges(
      wanted.sync && summaryOf(wanted.sync),
      before.sync,
      wanted.document.sync?.keyFile !== undefined,
    ),
    vips: {
      added: vips.filter((each) => !before.vips.includes(each)),
      removed: before.vips.filter((each) => !vips.includes(each)),
    },
    manualChanges: reconciliation.manualChanges,
    adopt,
    moved: movedClients(snapshot, [...reconciliation.commands, ...removals]).filter(({ share }) => share > 0),
  };
}

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

/** The thread that reads configuration files, one after the other, and plans reloads, so that neither delays packets. */
import { createHash } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { listedOf } from '../../config/listed.ts';
import { checkDigests } from '../../config/reload/check-digests.ts';
import { LvsError } from '../../model/errors.ts';
import { policiesOf, watchedOf } from '../health.ts';
import { joinableOf } from '../join/joinable.ts';
import { type Loaded, loadConfiguration } from './configuration.ts';
import type {
  Answer,
  OpenRequest,
  Phase,
  PlanRequest,
  ReadConfiguration,
  ReloadPlan,
} from './configuration-thread.ts';
import { pack, unpacked } from './packed.ts';
import { reloadCommands } from './reload.ts';

/** Maximum number of warnings, and of manual changes, that are reported individually. */
const MAX_REPORTED = 200;

const port = parentPort!;
let file: Loaded | undefined;

port.on('message', (request: PlanRequest | OpenRequest) => {
  if ('open' in request) void openFile(request.open);
  else void answer(async () => ({ value: plan(request) }));
});
await openFile((workerData as OpenRequest).open);

async function openFile(path: string): Promise<void> {
  await answer(async () => {
    const report = (phase: Phase['phase']) => port.postMessage({ phase } satisfies Phase);
    report('reading');
    file = await loadConfiguration(path, { read: () => report('working'), isRun: true });
    return { value: describe(file) };
  });
}

function describe({
  document,
  commands,
  vips,
  interfaces,
  warnings,
  sync,
  join,
  programUser,
  checkUsers,
  access,
}: Loaded): ReadConfiguration {
  const { services, adopt, drain, active, restart, announce, takeover } = document;
  const packed = {
    commands: pack(commands),
    watched: pack(watchedOf(document, checkUsers)),
    policies: pack(policiesOf(document)),
    listed: pack(listedOf(document)),
    access: pack(access.entries),
    joinable: pack(joinableOf(document, checkUsers)),
  };
  const digest = createHash('sha256').update(
    JSON.stringify({
      vips,
      interfaces,
      adopt,
      drain,
      active,
      programUser,
      checkUsers,
      restart,
      announce,
      takeover,
    }),
  );
  for (const secret of [...(sync?.secrets ?? []), ...(join?.secrets ?? [])]) digest.update(secret);
  digest.update(JSON.stringify([sync?.peers, sync?.bulkPort, join]));
  for (const { parts } of Object.values(packed)) for (const part of parts) digest.update(part);
  return {
    ...packed,
    checks: checkDigests(document),
    lists: access.digests,
    vips,
    interfaces,
    ...(sync && { sync }),
    ...(join && { join }),
    ...(active && announce && { announce }),
    ...(takeover && { takeover }),
    ...(programUser && { programUser }),
    warnings: truncated(warnings),
    services: services.length,
    adopt,
    drain,
    restart,
    digest: digest.digest('hex'),
  };
}

function plan({ running, snapshot, commands, draining }: PlanRequest): ReloadPlan {
  const before = { commands: [...unpacked(commands)], draining: [...unpacked(draining)] };
  const now = { ...snapshot, rules: [...unpacked(running)] };
  const planned = reloadCommands(now, file!.document, before);
  return {
    commands: pack(planned.commands),
    drains: pack(planned.drains),
    manualChanges: truncated(planned.manualChanges),
  };
}

/** Sends the result of `work`, or its LvsError. Any other error is a fault and ends the thread. */
async function answer<T extends { readonly value: ReadConfiguration | ReloadPlan }>(
  work: () => Promise<T>,
): Promise<void> {
  try {
    const { value } = await work();
    port.postMessage({ value } satisfies Answer);
  } catch (error) {
    if (!(error instanceof LvsError)) throw error;
    port.postMessage({ error: { code: error.code, message: error.message } } satisfies Answer);
  }
}

function truncated(lines: readonly string[]): readonly string[] {
  if (lines.length <= MAX_REPORTED) return lines;
  return [...lines.slice(0, MAX_REPORTED), `... and ${lines.length - MAX_REPORTED} more`];
}

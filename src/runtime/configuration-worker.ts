/** The thread that reads a configuration file and plans its reload, so that neither delays packets. */
import { createHash } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { listedOf } from '../config/listed.ts';
import { checkDigests } from '../config/reload/check-digests.ts';
import { LvsError } from '../model/errors.ts';
import { type Loaded, loadConfiguration } from './configuration.ts';
import type { Answer, Phase, PlanRequest, ReadConfiguration, ReloadPlan } from './configuration-thread.ts';
import { policiesOf, watchedOf } from './health.ts';
import { joinableOf } from './joinable.ts';
import { pack, unpacked } from './packed.ts';
import { reloadCommands } from './reload.ts';

/** Maximum number of warnings, and of manual changes, that are reported individually. */
const MAX_REPORTED = 200;

const port = parentPort!;
const { path } = workerData as { readonly path: string };

const file = await answer(async () => {
  const report = (phase: Phase['phase']) => port.postMessage({ phase } satisfies Phase);
  report('reading');
  const file = await loadConfiguration(path, { read: () => report('working'), isRun: true });
  return { file, value: describe(file) };
});

port.on('message', (request: PlanRequest) => void answer(async () => ({ value: plan(request) })));

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
  const planned = reloadCommands(now, file!.file.document, before);
  return {
    commands: pack(planned.commands),
    drains: pack(planned.drains),
    manualChanges: truncated(planned.manualChanges),
  };
}

/** Sends the result of `work`, or its LvsError. Any other error is a fault and ends the thread. */
async function answer<T extends { readonly value: ReadConfiguration | ReloadPlan }>(
  work: () => Promise<T>,
): Promise<T | undefined> {
  try {
    const result = await work();
    port.postMessage({ value: result.value } satisfies Answer);
    return result;
  } catch (error) {
    if (!(error instanceof LvsError)) throw error;
    port.postMessage({ error: { code: error.code, message: error.message } } satisfies Answer);
    return undefined;
  }
}

function truncated(lines: readonly string[]): readonly string[] {
  if (lines.length <= MAX_REPORTED) return lines;
  return [...lines.slice(0, MAX_REPORTED), `... and ${lines.length - MAX_REPORTED} more`];
}

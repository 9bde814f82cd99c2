/** Collects what runs in this network namespace, and what killed directors have left, for `lvs-director status`. */
import { instancesIn, pidOf, unixSockets } from '../host/director-instances.ts';
import { orphanedGuards } from '../host/orphaned-guards.ts';
import { LvsError } from '../model/errors.ts';
import { type LeftPath, leftPaths } from '../offload/left-path.ts';

export interface DirectorStatus {
  /** Process ids of the directors that run. */
  readonly running: readonly number[];
  readonly paths: readonly LeftPath[];
  /** Tables of guards whose directors do not run; undefined: they cannot be listed. */
  readonly guards: readonly string[] | undefined;
}

/** `roots`: folders of pins. */
export async function directorStatus(roots: readonly string[]): Promise<DirectorStatus> {
  const guards = await orphanedGuards().catch((error: unknown) => {
    if (error instanceof LvsError) return undefined;
    throw error;
  });
  return { running: instancesIn(unixSockets()).map(pidOf), paths: await leftPaths(roots), guards };
}

/** Returns a sentence about a path. `now`: ms since 1970. */
export function sentenceOf({ folder, connections, silent, orphan, release }: LeftPath, now: number): string {
  const since =
    silent === undefined
      ? ''
      : ` since ${new Date(now - silent * 1000).toISOString()} (${Math.round(silent)} s)`;
  const isOver = (limit: number | undefined) => limit !== undefined && (silent ?? 0) >= limit;
  const until = (limit: number) =>
    silent === undefined ? `for ${limit} s` : `for another ${Math.ceil(limit - silent)} s`;
  const parts = isOver(release)
    ? [`forwards nothing any more: all packets are left to the host, after ${release} s`]
    : [
        isOver(orphan)
          ? `admits no new connection, after ${orphan} s`
          : `admits new connections ${until(orphan)}`,
        release === undefined ? 'forwards known ones' : `forwards known ones ${until(release)}`,
      ];
  return `the kernel path ${folder} is without a director${since}, with ${connections} connections: it ${parts.join(', ')}`;
}

/** Returns lines of text. `now`: ms since 1970. */
export function statusLines({ running, paths, guards }: DirectorStatus, now: number): string[] {
  const lines = running.map((pid) => `a director runs as process ${pid}`);
  if (running.length === 0) lines.push('no director runs');
  lines.push(...paths.map((path) => `forwarding without a director: ${sentenceOf(path, now)}`));
  for (const table of guards ?? [])
    lines.push(`orphaned guard: the table netdev ${table} withholds packets from this host`);
  if (guards === undefined) lines.push('orphaned guards: unknown: nft cannot list tables (needs root)');
  if (paths.length + (guards?.length ?? 0) > 0)
    lines.push('start the director to take these over, or remove them: lvs-director stop --release');
  return lines;
}

/** Collects what runs in this network namespace, and what killed directors have left, for `lvs-director status`. */
import { instancesIn, pidOf, unixSockets } from '../host/director-instances.ts';
import { type LeftTable, leftTable } from '../host/left-table.ts';
import { orphanedGuards } from '../host/orphaned-guards.ts';
import { LvsError } from '../model/errors.ts';
import { type LeftPath, leftPaths } from '../offload/left-path.ts';
import { loadSystem } from '../sys/system.ts';

export interface DirectorStatus {
  /** Process ids of the directors that run. */
  readonly running: readonly number[];
  readonly paths: readonly LeftPath[];
  /** The connection table that a director without a kernel path has left. */
  readonly table?: LeftTable;
  /** Tables of guards whose directors do not run; undefined: they cannot be listed. */
  readonly guards: readonly string[] | undefined;
}

/** `roots`: folders of pins. */
export async function directorStatus(roots: readonly string[]): Promise<DirectorStatus> {
  const guards = await orphanedGuards().catch((error: unknown) => {
    if (error instanceof LvsError) return undefined;
    throw error;
  });
  const system = await loadSystem().catch(() => undefined);
  const table = system && leftTable(system);
  return {
    running: instancesIn(unixSockets()).map(pidOf),
    paths: await leftPaths(roots),
    ...(table && { table }),
    guards,
  };
}

/** Returns a sentence about a table. `now`: ms since 1970. */
export const tableSentence = ({ folder, connections, bytes, silent }: LeftTable, now: number): string =>
  `the connection table ${folder} is without a director${sinceOf(silent, now)}, with ${connections} connections in ${Math.round(bytes / 2 ** 20)} MiB of memory: their packets are dropped`;

const sinceOf = (silent: number | undefined, now: number): string =>
  silent === undefined
    ? ''
    : ` since ${new Date(now - silent * 1000).toISOString()} (${Math.round(silent)} s)`;

/** Returns a sentence about a path. `now`: ms since 1970. */
export function sentenceOf({ folder, connections, silent, orphan, release }: LeftPath, now: number): string {
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
  return `the kernel path ${folder} is without a director${sinceOf(silent, now)}, with ${connections} connections: it ${parts.join(', ')}`;
}

/** Reports whether a director that does not run has left something. */
export const hasLeft = ({ paths, table, guards }: Omit<DirectorStatus, 'running'>): boolean =>
  paths.length > 0 || table !== undefined || (guards?.length ?? 0) > 0;

/** Returns lines of text. `now`: ms since 1970. */
export function statusLines({ running, paths, table, guards }: DirectorStatus, now: number): string[] {
  const lines = running.map((pid) => `a director runs as process ${pid}`);
  if (running.length === 0) lines.push('no director runs');
  lines.push(...paths.map((path) => `forwarding without a director: ${sentenceOf(path, now)}`));
  if (table) lines.push(`kept without a director: ${tableSentence(table, now)}`);
  for (const guard of guards ?? [])
    lines.push(`orphaned guard: the table netdev ${guard} withholds packets from this host`);
  if (guards === undefined) lines.push('orphaned guards: unknown: nft cannot list tables (needs root)');
  if (hasLeft({ paths, guards, ...(table && { table }) }))
    lines.push('start the director to take these over, or remove them: lvs-director stop --release');
  return lines;
}

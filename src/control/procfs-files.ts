/** Keeps a folder of the files that tools look for under /proc: each is replaced whole, so that readers see no half of one. */
import { createWriteStream, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ConnectionSnapshot } from '../model/snapshot.ts';
import type { DirectorDoor } from './door.ts';
import {
  PROC_APPLICATIONS,
  PROC_CONNECTIONS_HEAD,
  PROC_ORIGINS_HEAD,
  procConnection,
  procOrigin,
  procServices,
  procStats,
  procStatsPerCpu,
} from './procfs.ts';

/** Writes `FOLDER/net/ip_vs*`; a tool reads them when it is told that its /proc is `folder`. */
export async function writeProcfs(folder: string, door: DirectorDoor): Promise<void> {
  const net = join(folder, 'net');
  mkdirSync(net, { recursive: true });
  const snapshot = await door.snapshot({ services: true });
  replace(join(net, 'ip_vs'), procServices(snapshot));
  replace(join(net, 'ip_vs_stats'), procStats(snapshot));
  replace(join(net, 'ip_vs_stats_percpu'), procStatsPerCpu(snapshot));
  replace(join(net, 'ip_vs_app'), PROC_APPLICATIONS);
  await replaceLines(join(net, 'ip_vs_conn'), connectionLines(door, PROC_CONNECTIONS_HEAD, procConnection));
  await replaceLines(join(net, 'ip_vs_conn_sync'), connectionLines(door, PROC_ORIGINS_HEAD, procOrigin));
}

async function* connectionLines(
  door: DirectorDoor,
  head: string,
  line: (connection: ConnectionSnapshot) => string,
): AsyncGenerator<string> {
  yield head;
  for await (const chunk of door.connections()) yield chunk.map(line).join('');
}

async function replaceLines(path: string, lines: AsyncGenerator<string>): Promise<void> {
  await pipeline(Readable.from(lines), createWriteStream(unfinished(path)));
  renameSync(unfinished(path), path);
}

function replace(path: string, text: string): void {
  writeFileSync(unfinished(path), text);
  renameSync(unfinished(path), path);
}

const unfinished = (path: string): string => `${path}.${process.pid}`;

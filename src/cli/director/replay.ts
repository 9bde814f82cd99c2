/** `lvs-director replay`: replays a recorded file, writes the sent packets and prints the connections. */

import { readFileSync, writeFileSync } from 'node:fs';
import { listConnections } from '../../ipvsadm/connections.ts';
import { LvsError } from '../../model/errors.ts';
import type { ConnectionSnapshot } from '../../model/snapshot.ts';
import { loadConfiguration } from '../../runtime/configuration/configuration.ts';
import { replay } from '../../runtime/replay.ts';
import { joinEndpoint } from '../../wire/address.ts';

export interface ReplayOptions {
  readonly config: string;
  readonly in: string;
  readonly out: string;
  readonly json?: boolean;
  /** Seed of the random source, 0..2^32-1. */
  readonly seed: number;
}

/** Writes the sent packets to `out`, and prints the connections that exist at the end. */
export async function replayFile(options: ReplayOptions, print: (text: string) => void): Promise<void> {
  const result = replay(
    await loadConfiguration(options.config),
    withFile(options.in, () => readFileSync(options.in)),
    options.seed,
  );
  withFile(options.out, () => writeFileSync(options.out, result.file));
  const { packets, skipped, sent, verdicts, connections, snapshot } = result;
  if (options.json) {
    const { services, stats, drops } = snapshot;
    print(
      `${JSON.stringify({ packets, skipped, sent, verdicts, connections, services, stats, drops }, null, 2)}\n`,
    );
    return;
  }
  const words = Object.entries(verdicts).map(([verdict, count]) => `${verdict} ${count}`);
  print(`${packets} packets (${skipped} others skipped): ${words.join(', ')}; ${sent} sent\n`);
  for await (const text of listConnections(chunkOf(connections), false, joinEndpoint)) print(text);
}

function withFile<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new LvsError('IO', `${path}: ${(cause as Error).message}`, { cause });
  }
}

async function* chunkOf(connections: readonly ConnectionSnapshot[]) {
  yield connections;
}

/**
 * Measures bulk transfers of the connection table to a director that joins. Both directors are in this process, so that a
 * transfer takes the sum of their times; two hosts work at the same time.
 */
import { BulkFetch } from '../src/runtime/sync/bulk-client.ts';
import { BulkServer } from '../src/runtime/sync/bulk-server.ts';
import { FrameReader } from '../src/sync/bulk-format.ts';
import { deriveKey } from '../src/sync/sync-keys.ts';
import { Synchronization } from '../src/sync/synchronization.ts';
import { type Effort, type Figure, tableSizes } from './measure.ts';
import { Scene } from './scene.ts';

const NETWORK = 20;
const HOST = '127.0.0.1';
const PORT = 18_849;
const KEY = deriveKey(new Uint8Array(32).fill(7));

interface Side {
  readonly scene: Scene;
  readonly sync: Synchronization;
}

/** A director with a table of 1.5 times that many places. */
export function side(connections: number): Side {
  const scene = new Scene('nat', connections + (connections >> 1) + 64);
  const { context } = scene.director;
  const transport = { open: () => {}, close: () => {}, send: () => true };
  const sync = new Synchronization({
    core: context,
    transport,
    wallClock: () => 0,
    sender: new Uint8Array(8),
  });
  context.sync.attach(sync);
  sync.setKeys([KEY]);
  return { scene, sync };
}

function joining(connections: number): Side {
  const made = side(connections);
  const daemon = { role: 'backup', syncId: 0, interface: 'lo', maxLength: 1472 } as const;
  made.scene.director.apply({ op: 'start-daemon', daemon }, made.scene.now);
  return made;
}

export async function bulk(effort: Effort): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const connections of tableSizes(effort).slice(1)) {
    const from = side(connections);
    for (let i = 0; i < connections; i++) from.scene.open(NETWORK, i);
    figures.push(...work(from, connections), await transfer(from, connections));
  }
  return figures;
}

/** Processor time of this process, which other programs influence little, ms. */
function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Measures what both sides do per entry, without a connection between them. */
function work(from: Side, connections: number): Figure[] {
  const frames: Buffer[] = [];
  const begin = processorMs();
  const reading = from.sync.export(0);
  while (!reading.isComplete) {
    const frame = reading.next(from.scene.now);
    if (frame) frames.push(Buffer.from(frame));
  }
  const read = processorMs();
  const into = joining(connections);
  const reader = new FrameReader();
  const ready = processorMs();
  for (const frame of frames)
    for (const { message } of reader.push(frame)) into.sync.copy(message, into.scene.now, 0);
  const taken = processorMs();
  expectAll(into, connections);
  const each = (ms: number) => (ms * 1e6) / connections;
  return [
    { name: 'bulk: read and write an entry', connections, value: each(read - begin), unit: 'ns' },
    { name: 'bulk: take an entry', connections, value: each(taken - ready), unit: 'ns' },
  ];
}

async function transfer(from: Side, connections: number): Promise<Figure> {
  const into = joining(connections);
  const clock = () => from.scene.now;
  const server = new BulkServer(
    {
      sync: from.sync,
      session: Buffer.alloc(8, 1),
      keys: () => [KEY],
      isPeer: () => true,
      clock,
      log: () => {},
    },
    { host: HOST, port: PORT },
  );
  while (!server.isListening) await new Promise((resolve) => setImmediate(resolve));
  const begin = processorMs();
  const { signal } = new AbortController();
  await new BulkFetch({ sync: into.sync, clock, signal }, { host: HOST, port: PORT }).run(KEY);
  const value = processorMs() - begin;
  server[Symbol.dispose]();
  expectAll(into, connections);
  return {
    name: 'bulk: whole transfer by TLS, both directors in one process',
    connections,
    value,
    unit: 'ms',
  };
}

function expectAll({ scene }: Side, connections: number): void {
  const { size } = scene.director.context.table;
  if (size !== connections) throw new Error(`${size} connections arrived: expected ${connections}`);
}

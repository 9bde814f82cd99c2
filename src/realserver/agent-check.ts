/**
 * Serves the text protocol of HAProxy's agent-check: sends each client one line, such as `up ready 75%`, with the share of
 * the weight that the machine's load allows.
 */
import { createServer, type Server } from 'node:net';
import { LvsError } from '../model/errors.ts';

export interface AgentCheckOptions {
  readonly host: string;
  readonly port: number;
  /** Returns the line, called for each connection. */
  readonly words: () => string;
}

/** How long a client may stay connected, ms. */
const CLIENT_TIMEOUT_MS = 2000;
/** Maximum number of simultaneous connections: a director has one per service. */
const MAX_CONNECTIONS = 256;

/** Listens until the server is closed. Throws LvsError IO where it cannot. */
export function serveAgentCheck({ host, port, words }: AgentCheckOptions): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.setTimeout(CLIENT_TIMEOUT_MS, () => socket.destroy());
    socket.resume();
    socket.end(`${words()}\n`);
  });
  server.maxConnections = MAX_CONNECTIONS;
  return new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new LvsError('IO', `agent-check on ${host}:${port}: cannot listen: ${cause.message}`, { cause }),
      ),
    );
    server.listen(port, host === '' ? '::' : host, () => resolve(server));
  });
}

/** Runnable tasks per processor up to which a machine reports its whole weight. */
const FULL_WEIGHT_TASKS = 0.5;
const FULL_WEIGHT_PERCENT = 100;

/**
 * Returns the percentage of the weight for a load average: 100 up to half a task per processor, then inversely
 * proportional: 50 at one task, 25 at two. Never 0, which would mean a broken server.
 */
export function percentOf(load: number, processors: number): number {
  const tasks = load / Math.max(1, processors);
  if (tasks <= FULL_WEIGHT_TASKS) return FULL_WEIGHT_PERCENT;
  return Math.max(1, Math.round((FULL_WEIGHT_PERCENT * FULL_WEIGHT_TASKS) / tasks));
}

/** Largest change of the percentage by one step. */
const MAX_STEP = 20;
/** Smaller differences change nothing: the owners of clients would move all the time. */
const MIN_STEP = 10;

/** Returns the percentage that follows `before`, in bounded steps towards `target`. */
export function stepTowards(before: number, target: number): number {
  if (Math.abs(target - before) < MIN_STEP && target !== FULL_WEIGHT_PERCENT) return before;
  return before + Math.max(-MAX_STEP, Math.min(MAX_STEP, target - before));
}

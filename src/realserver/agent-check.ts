/** Serves the text protocol of HAProxy's agent-check: sends each client one line, such as `up ready 75%`. */
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

/** Serves the text protocol of HAProxy's agent-check: whoever connects is told a line, such as `up ready 75%`. */
import { createServer, type Server } from 'node:net';
import { LvsError } from '../model/errors.ts';

export interface AgentCheckOptions {
  readonly host: string;
  readonly port: number;
  /** Words of the protocol, asked for at each connection. */
  readonly words: () => string;
}

/** ms in which whoever asks has to be gone. */
const PATIENCE = 2000;
/** Connections at once: a director has one a service. */
const MOST = 256;

/** Listens until it is closed. Throws LvsError IO where it cannot. */
export function serveAgentCheck({ host, port, words }: AgentCheckOptions): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.setTimeout(PATIENCE, () => socket.destroy());
    socket.resume();
    socket.end(`${words()}\n`);
  });
  server.maxConnections = MOST;
  return new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new LvsError('IO', `agent-check cannot listen on ${host}:${port}: ${cause.message}`, { cause })),
    );
    server.listen(port, host === '' ? '::' : host, () => resolve(server));
  });
}

/** The agent's control socket: one request and one response per connection, each a line of JSON. */
import { chmodSync, existsSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { LvsError } from '../../model/errors.ts';
import type { ClusterStatus } from './cluster-status.ts';
import type { Explanation } from './explain.ts';

export type ClusterRequest =
  | { readonly command: 'status' | 'stop' }
  /** `rule`: such as tcp/80; missing: all rules. */
  | { readonly command: 'drain' | 'suspend' | 'resume'; readonly rule?: string }
  | {
      readonly command: 'explain';
      readonly from: string;
      readonly port: number;
      readonly rule: string;
      readonly to?: string;
    };

export type ClusterResponse =
  | { readonly status: ClusterStatus }
  | { readonly explanation: Explanation }
  | { readonly done: string }
  | { readonly error: string };

const MAX_REQUEST_CHARACTERS = 4096;
const TIMEOUT_MS = 30_000;
const OWNER_ONLY = 0o600;

/** Returns the path of the socket that belongs to a journal. */
export const controlPath = (stateFile: string): string => `${stateFile.replace(/\.json$/, '')}.sock`;

/** Listens until the server is closed. The caller ensures that no other agent runs. Throws LvsError IO. */
export function serveControl(
  path: string,
  answer: (request: ClusterRequest) => Promise<ClusterResponse>,
): Promise<Server> {
  rmSync(path, { force: true });
  const server = createServer((socket) => {
    let text = '';
    socket.on('error', () => {});
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy());
    socket.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      if (text.length > MAX_REQUEST_CHARACTERS) return void socket.destroy();
      if (!text.includes('\n')) return;
      socket.pause();
      void respond(text, answer).then((response) => socket.end(`${JSON.stringify(response)}\n`));
    });
  });
  return new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new LvsError('IO', `control socket ${path}: ${cause.message}`, { cause })),
    );
    // Only root may connect from the start.
    const mask = process.umask(0o177);
    server.listen(path, () => {
      chmodSync(path, OWNER_ONLY);
      server.unref();
      resolve(server);
    });
    process.umask(mask);
  });
}

async function respond(
  text: string,
  answer: (request: ClusterRequest) => Promise<ClusterResponse>,
): Promise<ClusterResponse> {
  try {
    return await answer(JSON.parse(text) as ClusterRequest);
  } catch (error) {
    return { error: (error as Error).message };
  }
}

/** Sends a request to the agent. Throws LvsError UNAVAILABLE if no agent of a cluster runs, IO for its error. */
export function request(
  path: string,
  request: ClusterRequest,
): Promise<Exclude<ClusterResponse, { error: string }>> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(path, () => socket.write(`${JSON.stringify(request)}\n`));
    socket.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    socket.on('error', (cause) =>
      reject(
        new LvsError(
          'UNAVAILABLE',
          `no agent of a cluster runs here: ${cause.message} (lvs-realserver run)`,
          {
            cause,
          },
        ),
      ),
    );
    socket.on('end', () => {
      try {
        const response = JSON.parse(text) as ClusterResponse;
        if ('error' in response) reject(new LvsError('IO', response.error));
        else resolve(response);
      } catch (cause) {
        reject(new LvsError('IO', 'the agent closed the connection without a response', { cause }));
      }
    });
  });
}

/** Resolves with the state of the cluster; undefined if no agent of a cluster runs. Throws LvsError IO for the agent's error. */
export async function clusterStatus(stateFile: string): Promise<ClusterStatus | undefined> {
  const path = controlPath(stateFile);
  if (!existsSync(path)) return undefined;
  try {
    const response = await request(path, { command: 'status' });
    return 'status' in response ? response.status : undefined;
  } catch (error) {
    // An agent that was killed leaves its socket.
    if (error instanceof LvsError && error.code === 'UNAVAILABLE') return undefined;
    throw error;
  }
}

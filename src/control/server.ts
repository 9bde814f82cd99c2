/** Serves the control socket: clients, limits, timeouts and back-pressure. */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { LvsError } from '../model/errors.ts';
import type { ControlCounters } from '../model/surroundings.ts';
import type { DirectorApi } from './director-api.ts';
import { LineReader } from './lines.ts';
import { type Answer, MAX_REQUEST_BYTES } from './protocol.ts';
import { answerTo } from './session.ts';
import { claimSocket, type SocketClaim } from './socket-claim.ts';

/** Clients at a time. */
export const MAX_CONTROL_CLIENTS = 32;

export interface ControlServerOptions {
  readonly path: string;
  readonly api: DirectorApi;
  /** ID of the group that may use the socket, besides its owner; missing: only the owner. */
  readonly group?: number;
  /** Maximum number of clients at a time; further ones receive an error. Default 32. */
  readonly maxClients?: number;
  /** Maximum time for sending a request, and between two requests, ms. Default 30 s. */
  readonly requestTimeout?: number;
  /** Maximum time for which a client may read nothing of its answer, ms. Default 120 s. */
  readonly readTimeout?: number;
  /** Maximum time for a client to read an error and to close, ms. Default 2 s. */
  readonly leaveTimeout?: number;
  /** Called for invalid and failed requests. */
  readonly onProblem?: (problem: unknown) => void;
}

/** Listens on the control socket. Throws LvsError if another director uses it, or if other users can replace it. */
export async function serveControl(options: ControlServerOptions): Promise<ControlServer> {
  const server = createServer({ allowHalfOpen: true });
  const claim = await claimSocket(server, options.path, options.group);
  return new ControlServer(server, claim, options);
}

/** The clients of the control socket, and counters of their requests. */
export class ControlServer implements AsyncDisposable {
  readonly path: string;
  readonly counters: ControlCounters = {
    clients: 0,
    requests: 0,
    failed: 0,
    refused: 0,
    timedOut: 0,
    vanished: 0,
  };
  readonly #server: Server;
  readonly #claim: SocketClaim;
  readonly #api: DirectorApi;
  #maxClients: number;
  readonly #requestTimeout: number;
  readonly #readTimeout: number;
  readonly #leaveTimeout: number;
  readonly #onProblem: (problem: unknown) => void;
  readonly #sockets = new Set<Socket>();
  /** Clients whose next request has not arrived, in the order of the wait. */
  readonly #idle = new Set<Socket>();
  /** Clients that were sent an error and have not closed yet. */
  readonly #leaving = new Set<Socket>();

  constructor(server: Server, claim: SocketClaim, options: ControlServerOptions) {
    this.path = options.path;
    this.#server = server;
    this.#claim = claim;
    this.#api = options.api;
    this.#maxClients = options.maxClients ?? MAX_CONTROL_CLIENTS;
    this.#requestTimeout = options.requestTimeout ?? 30_000;
    this.#readTimeout = options.readTimeout ?? 120_000;
    this.#leaveTimeout = options.leaveTimeout ?? 2000;
    this.#onProblem = options.onProblem ?? (() => {});
    server.on('connection', (socket) => this.#accept(socket));
    server.on('error', this.#onProblem);
  }

  /** Serves at most this number of clients from now on; idle ones beyond it are disconnected. */
  limit(maxClients: number): void {
    this.#maxClients = maxClients;
    for (const idle of this.#idle) {
      if (this.#sockets.size <= maxClients) return;
      this.counters.timedOut++;
      this.#forget(idle);
      idle.destroy();
    }
  }

  /** Closes all connections, and removes the socket. */
  async close(): Promise<void> {
    this.#claim.release();
    for (const socket of [...this.#sockets, ...this.#leaving]) socket.destroy();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #accept(socket: Socket): void {
    socket.on('error', () => {}); // the client closed the connection; #serve detects that, too
    // A client without a request makes room: idle connections must not keep an operator out.
    const [idle] = this.#idle;
    if (this.#sockets.size >= this.#maxClients && idle) {
      this.counters.timedOut++;
      this.#forget(idle);
      idle.destroy();
    }
    if (this.#sockets.size >= this.#maxClients) {
      this.counters.refused++;
      const message = `control socket: the limit of ${this.#maxClients} clients is reached`;
      socket.write(`${JSON.stringify({ error: { code: 'UNAVAILABLE', message } } satisfies Answer)}\n`);
      this.#closeAfterError(socket);
      return;
    }
    this.counters.clients++;
    this.#sockets.add(socket);
    this.#idle.add(socket);
    socket.once('close', () => this.#forget(socket));
    this.#serve(socket)
      .catch((problem) => this.#onProblem(problem))
      .finally(() => this.#finish(socket));
  }

  #forget(socket: Socket): void {
    this.#sockets.delete(socket);
    this.#idle.delete(socket);
  }

  /** Ends a connection when the client has read its answers, or at the timeout. */
  #finish(socket: Socket): void {
    if (socket.destroyed) return;
    const timer = this.#deadline(socket, this.#readTimeout);
    socket.once('close', () => clearTimeout(timer));
    if (socket.readableEnded) socket.destroySoon();
    else this.#closeAfterError(socket);
  }

  /**
   * Ends a connection after an error. The client may finish writing, and its input is discarded: if its write failed, it
   * would not read the error.
   */
  #closeAfterError(socket: Socket): void {
    this.#forget(socket);
    if (this.#leaving.size >= this.#maxClients) {
      socket.destroySoon();
      return;
    }
    this.#leaving.add(socket);
    let left = MAX_REQUEST_BYTES;
    socket.on('data', (octets) => {
      left -= octets.length;
      if (left < 0) socket.destroy();
    });
    socket.once('end', () => socket.destroySoon());
    const timers: NodeJS.Timeout[] = [];
    socket.end(() => timers.push(setTimeout(() => socket.destroy(), this.#leaveTimeout).unref()));
    socket.once('close', () => {
      this.#leaving.delete(socket);
      for (const timer of timers) clearTimeout(timer);
    });
  }

  /** Serves the requests of a client in order, until it closes the connection or sends an invalid request. */
  async #serve(socket: Socket): Promise<void> {
    const reader = new LineReader(MAX_REQUEST_BYTES);
    let timer = this.#deadline(socket, this.#requestTimeout);
    try {
      for await (const octets of socket.iterator({ destroyOnReturn: false })) {
        const lines = await this.#linesOf(reader, octets as Buffer, socket);
        if (lines === undefined) return;
        for (const line of lines) {
          clearTimeout(timer);
          this.#idle.delete(socket);
          if (!(await this.#answer(socket, line))) return;
          if (!socket.destroyed) this.#idle.add(socket);
          timer = this.#deadline(socket, this.#requestTimeout);
        }
      }
      if (reader.isMidLine) this.counters.vanished++;
    } catch (problem) {
      if (!socket.destroyed) throw problem; // otherwise the client closed the connection, or timed out
    } finally {
      clearTimeout(timer);
    }
  }

  /** Resolves with complete lines; undefined: a line was too long, and the client was sent an error. */
  async #linesOf(reader: LineReader, octets: Buffer, socket: Socket): Promise<string[] | undefined> {
    try {
      return reader.push(octets);
    } catch (problem) {
      if (!(problem instanceof LvsError)) throw problem;
      this.#fail(problem);
      const { code, message } = problem;
      await this.#send(socket, `${JSON.stringify({ error: { code, message } } satisfies Answer)}\n`);
      return undefined;
    }
  }

  /** Answers a request. Resolves with false if the connection must be closed. */
  async #answer(socket: Socket, line: string): Promise<boolean> {
    this.counters.requests++;
    let isValid = true;
    const failed = (problem: unknown) => {
      isValid = false;
      this.#fail(problem);
    };
    for await (const text of answerTo(line, this.#api, failed)) {
      if (await this.#send(socket, text)) continue;
      this.counters.vanished++;
      return false;
    }
    return isValid;
  }

  #fail(problem: unknown): void {
    this.counters.failed++;
    this.#onProblem(problem);
  }

  /** Sends text, and waits until the client has read most of it. Resolves with false if it closed the connection. */
  async #send(socket: Socket, text: string): Promise<boolean> {
    if (socket.destroyed || !socket.writable) return false;
    if (socket.write(text)) return true;
    const timer = this.#deadline(socket, this.#readTimeout);
    await new Promise<void>((resolve) => {
      const go = () => {
        socket.off('drain', go);
        socket.off('close', go);
        resolve();
      };
      socket.on('drain', go);
      socket.on('close', go);
    });
    clearTimeout(timer);
    return !socket.destroyed;
  }

  #deadline(socket: Socket, ms: number): NodeJS.Timeout {
    const late = () => {
      this.counters.timedOut++;
      socket.destroy();
    };
    return setTimeout(late, ms).unref();
  }
}

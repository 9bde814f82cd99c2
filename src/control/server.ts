/** The control socket's transport on the director's side: clients, limits, timeouts and back-pressure. */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { LvsError } from '../model/errors.ts';
import type { ControlCounters } from '../model/surroundings.ts';
import type { DirectorApi } from './director-api.ts';
import { LineReader } from './lines.ts';
import { type Answer, MAX_REQUEST } from './protocol.ts';
import { answerTo } from './session.ts';
import { claimSocket, type SocketClaim } from './socket-claim.ts';

export interface ControlServerOptions {
  readonly path: string;
  readonly api: DirectorApi;
  /** Numeric group that may use the socket too; missing: its owner alone. */
  readonly group?: number;
  /** Clients at once; one more is told so and sent away. Default 32. */
  readonly maxClients?: number;
  /** ms a client may take to send a request, and between two. Default 30 s. */
  readonly requestTimeout?: number;
  /** ms a client may take to read on. Default 120 s. */
  readonly readTimeout?: number;
  /** ms that a client has to take an error and go. Default 2 s. */
  readonly leaveTimeout?: number;
  /** Hears of clients that misbehave and of answers that fail. */
  readonly onProblem?: (problem: unknown) => void;
}

/** Listens on the control socket. Throws an LvsError when another director does, or when its place is not safe. */
export async function serveControl(options: ControlServerOptions): Promise<ControlServer> {
  const server = createServer({ allowHalfOpen: true });
  const claim = await claimSocket(server, options.path, options.group);
  return new ControlServer(server, claim, options);
}

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
  readonly #maxClients: number;
  readonly #requestTimeout: number;
  readonly #readTimeout: number;
  readonly #leaveTimeout: number;
  readonly #onProblem: (problem: unknown) => void;
  readonly #sockets = new Set<Socket>();
  /** Clients that were told an error and are not gone yet. */
  readonly #leaving = new Set<Socket>();

  constructor(server: Server, claim: SocketClaim, options: ControlServerOptions) {
    this.path = options.path;
    this.#server = server;
    this.#claim = claim;
    this.#api = options.api;
    this.#maxClients = options.maxClients ?? 32;
    this.#requestTimeout = options.requestTimeout ?? 30_000;
    this.#readTimeout = options.readTimeout ?? 120_000;
    this.#leaveTimeout = options.leaveTimeout ?? 2000;
    this.#onProblem = options.onProblem ?? (() => {});
    server.on('connection', (socket) => this.#accept(socket));
    server.on('error', this.#onProblem);
  }

  /** Sends all clients away and removes the socket. */
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
    socket.on('error', () => {}); // a client that went away; the conversation notices it by itself
    if (this.#sockets.size >= this.#maxClients) {
      this.counters.refused++;
      const message = `the director serves ${this.#maxClients} clients at once already`;
      socket.write(`${JSON.stringify({ error: { code: 'UNAVAILABLE', message } } satisfies Answer)}\n`);
      this.#sendAway(socket);
      return;
    }
    this.counters.clients++;
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    this.#converse(socket)
      .catch((problem) => this.#onProblem(problem))
      .finally(() => this.#dismiss(socket));
  }

  /** Lets the client read what it has been sent, and no longer than it may take. */
  #dismiss(socket: Socket): void {
    if (socket.destroyed) return;
    const timer = this.#deadline(socket, this.#readTimeout);
    socket.once('close', () => clearTimeout(timer));
    if (socket.readableEnded) socket.destroySoon();
    else this.#sendAway(socket);
  }

  /** Closing while a client still speaks would fail its writing, and it would not read why: it is let finish, unheard. */
  #sendAway(socket: Socket): void {
    this.#sockets.delete(socket);
    if (this.#leaving.size >= this.#maxClients) {
      socket.destroySoon();
      return;
    }
    this.#leaving.add(socket);
    let left = MAX_REQUEST;
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

  /** One client's requests, one after the other, for as long as it behaves. */
  async #converse(socket: Socket): Promise<void> {
    const reader = new LineReader(MAX_REQUEST);
    let timer = this.#deadline(socket, this.#requestTimeout);
    try {
      for await (const octets of socket.iterator({ destroyOnReturn: false })) {
        const lines = await this.#linesOf(reader, octets as Buffer, socket);
        if (lines === undefined) return;
        for (const line of lines) {
          clearTimeout(timer);
          if (!(await this.#answer(socket, line))) return;
          timer = this.#deadline(socket, this.#requestTimeout);
        }
      }
      if (reader.isMidLine) this.counters.vanished++;
    } catch (problem) {
      if (!socket.destroyed) throw problem; // otherwise it vanished, or took too long
    } finally {
      clearTimeout(timer);
    }
  }

  /** undefined: the client wrote too long a line, and was told so. */
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

  /** False: the client is not to be heard any more. */
  async #answer(socket: Socket, line: string): Promise<boolean> {
    this.counters.requests++;
    let isGood = true;
    const failed = (problem: unknown) => {
      isGood = false;
      this.#fail(problem);
    };
    for await (const text of answerTo(line, this.#api, failed)) {
      if (await this.#send(socket, text)) continue;
      this.counters.vanished++;
      return false;
    }
    return isGood;
  }

  #fail(problem: unknown): void {
    this.counters.failed++;
    this.#onProblem(problem);
  }

  /** Waits until the client has taken most of it; false: it is gone. */
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

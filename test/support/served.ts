/** A web interface for tests, gone with the value. */
import type { Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { serveWeb, type WebServerOptions } from '../../src/web/server.ts';
import { ObservedDirector } from './observed.ts';

/** The longest time of a timer, ms. */
const NEVER_MS = 2 ** 31 - 1;

/** Samples and summaries are made by the test alone, unless it sets a period. */
export class Served implements AsyncDisposable {
  readonly observed: ObservedDirector;
  readonly failures: unknown[];
  readonly #server: Server;
  readonly #gone: Promise<void>;

  private constructor(server: Server, observed: ObservedDirector, failures: unknown[]) {
    this.#server = server;
    this.observed = observed;
    this.failures = failures;
    this.#gone = new Promise((resolve) =>
      server.once('connection', (socket) => socket.once('close', () => resolve())),
    );
  }

  /** Resolves when the server has let its first client go. */
  firstClientGone(): Promise<void> {
    return this.#gone;
  }

  static async open(options: Partial<WebServerOptions> = {}, observed = new ObservedDirector()) {
    const failures: unknown[] = [];
    const onError = (error: unknown) => failures.push(error);
    const server = await serveWeb({
      ...{ host: '127.0.0.1', port: 0, onError, observed, period: NEVER_MS },
      ...options,
    });
    return new Served(server, observed, failures);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  url(path: string): string {
    return `http://127.0.0.1:${this.port}${path}`;
  }

  get(path: string, options: RequestInit = {}): Promise<Response> {
    return fetch(this.url(path), options);
  }

  async text(path: string): Promise<string> {
    return (await this.get(path)).text();
  }

  /** Opens a client that sends just this text, and returns what it receives until its connection ends. */
  raw(text = ''): { readonly socket: Socket; readonly received: Promise<string> } {
    const socket = connect(this.port, '127.0.0.1');
    let received = '';
    socket.on('data', (octets) => {
      received += octets;
    });
    socket.on('error', () => {});
    socket.write(text);
    return { socket, received: new Promise((resolve) => socket.once('close', () => resolve(received))) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }
}

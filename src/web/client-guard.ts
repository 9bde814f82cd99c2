/** Protects the server from clients: too many, too slow, or sent by a page of another site. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIP, type Socket } from 'node:net';

/** Characters that may be buffered for a client that does not read. */
const MAX_BUFFERED = 1024 * 1024;

/** Ends the connection of a client that does not read its answer within `limit` ms. */
export function limitAnswer(response: ServerResponse, limit: number): void {
  const timer = setTimeout(() => response.destroy(), limit).unref();
  response.once('close', () => clearTimeout(timer));
}

/** Reports whether a request has a body. */
export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
}

/** Writes, or ends the connection if too much is buffered. */
export function writeOrCut(response: ServerResponse, text: string): void {
  if (response.destroyed) return;
  if (response.writableLength + text.length > MAX_BUFFERED) response.destroy();
  else response.write(text);
}

/**
 * Limits the number of clients. A further client replaces the one that has made no progress for the longest time, so
 * that slow clients never keep others out.
 */
export class ClientSlots {
  readonly #limit: () => number;
  /** In the order of their last progress, the most recent last. */
  readonly #sockets = new Set<Socket>();

  /** `limit`: the number of places at the moment. */
  constructor(limit: () => number) {
    this.#limit = limit;
  }

  /** Adds a new client. */
  take(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    this.evict();
  }

  /** Disconnects the slowest clients beyond the limit. */
  evict(): void {
    const limit = this.#limit();
    for (const slowest of this.#sockets) {
      if (this.#sockets.size <= limit) return;
      this.#sockets.delete(slowest);
      slowest.destroy();
    }
  }

  /** Records that a client has sent a request or read an answer. */
  progress(socket: Socket): void {
    if (this.#sockets.delete(socket)) this.#sockets.add(socket);
  }

  /** Stops counting a client, to which another limit applies. */
  release(socket: Socket): void {
    this.#sockets.delete(socket);
  }
}

/**
 * Reports whether a request names this server. A page of another site can make a browser send requests here by a name
 * of that site that resolves to this address (DNS rebinding); it cannot do so by an address or a name of this server.
 */
export function isAllowedHost(header: string | undefined, names: ReadonlySet<string>): boolean {
  // HTTP/1.0 has no such header, and a browser always sends it.
  if (header === undefined || header === '') return true;
  const [, bracketed, plain] = /^(?:\[([^\]]*)\]|([^:]*))(?::\d*)?$/.exec(header) ?? [];
  const name = (bracketed ?? plain ?? '').toLowerCase().replace(/\.$/, '');
  return isIP(name) !== 0 || name === 'localhost' || name.endsWith('.localhost') || names.has(name);
}

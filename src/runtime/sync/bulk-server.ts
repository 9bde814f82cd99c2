/** Serves bulk transfers: sends the table to a director that joins. */
import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { Slice } from '../../model/slice.ts';
import { HELLO_BYTES, readHello, writeHello } from '../../sync/bulk-format.ts';
import type { SyncKey } from '../../sync/sync-keys.ts';
import type { Synchronization } from '../../sync/synchronization.ts';
import type { Log } from '../log.ts';
import { serverOptions } from './bulk-tls.ts';

/** Connections at the same time, of all peers together. */
const MAX_CLIENTS = 8;
/** ms for the handshake, and for the request. */
const REQUEST_MS = 3000;
/** ms in which a client must take something. */
const STALL_MS = 10_000;

export interface BulkServerOptions {
  readonly sync: Synchronization;
  /** The session, see bulk-format.ts. */
  readonly session: Buffer;
  readonly keys: () => readonly SyncKey[];
  /** Reports whether this is the address of a director. */
  readonly isPeer: (address: string) => boolean;
  readonly clock: () => number;
  readonly log: Log;
}

/** A server on one address. */
export class BulkServer {
  readonly #options: BulkServerOptions;
  readonly #tcp: Server;
  readonly #clients = new Set<Socket>();

  constructor(options: BulkServerOptions, at: { readonly host: string; readonly port: number }) {
    this.#options = options;
    const tls = createTlsServer(serverOptions(options.keys, REQUEST_MS));
    tls.on('secureConnection', (socket) => void this.#serve(socket));
    // Wrong keys, and what is not TLS.
    tls.on('tlsClientError', (_error, socket) => {
      options.sync.counts.refusedBulks++;
      socket.destroy();
    });
    this.#tcp = createTcpServer((socket) => {
      if (!options.isPeer(socket.remoteAddress ?? '') || this.#clients.size >= MAX_CLIENTS) {
        options.sync.counts.refusedBulks++;
        socket.destroy();
        return;
      }
      this.#clients.add(socket);
      socket.on('close', () => this.#clients.delete(socket)).on('error', () => {});
      tls.emit('connection', socket);
    });
    this.#tcp.on('error', (error) =>
      options.log('warning', 'bulk-server-failed', { address: at.host, error: error.message }),
    );
    this.#tcp.listen({ ...at, backlog: MAX_CLIENTS });
  }

  /** Reports whether the server accepts connections. */
  get isListening(): boolean {
    return this.#tcp.listening;
  }

  [Symbol.dispose](): void {
    this.#tcp.close();
    for (const socket of this.#clients) socket.destroy();
  }

  async #serve(socket: TLSSocket): Promise<void> {
    const { sync, log } = this.#options;
    const peer = socket.remoteAddress ?? '';
    // An error is followed by 'close'.
    socket.on('error', () => {});
    try {
      const place = await this.#answer(socket);
      const entries = await this.#send(socket, place);
      sync.counts.servedBulks++;
      log('info', 'bulk-served', { peer, connections: entries });
    } catch (error) {
      log('warning', 'bulk-ended-early', { peer, error: (error as Error).message });
    } finally {
      socket.destroy();
    }
  }

  /** Reads the request and answers it. Resolves with the place at which the transfer begins. */
  async #answer(socket: TLSSocket): Promise<number> {
    const { session } = this.#options;
    const hello = readHello(await requestOf(socket));
    if (hello === undefined) throw new Error('invalid request');
    const place = hello.session.equals(session) ? hello.place : 0;
    socket.write(writeHello({ session, place }));
    return place;
  }

  /** Sends the table from `place` on, in slices. Resolves with the number of entries when the client has them. */
  async #send(socket: TLSSocket, place: number): Promise<number> {
    const { sync, clock } = this.#options;
    const transfer = sync.export(place);
    const slice = new Slice();
    let before = 0;
    while (!transfer.isComplete) {
      const frame = transfer.next(clock());
      sync.counts.bulkSentEntries += transfer.sent - before;
      before = transfer.sent;
      if (frame !== undefined) await write(socket, frame);
      if (slice.spent) await slice.next();
    }
    socket.end(transfer.end());
    await taken(socket, 'finish');
    return transfer.sent;
  }
}

/** Resolves with the first HELLO_BYTES bytes; others are ignored. Throws if they do not arrive. */
function requestOf(socket: TLSSocket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let request = Buffer.alloc(0);
    const fail = () => reject(new Error('no request'));
    const limit = setTimeout(fail, REQUEST_MS);
    socket
      .on('data', (chunk: Buffer) => {
        if (request.length >= HELLO_BYTES) return;
        request = Buffer.concat([request, chunk]);
        if (request.length >= HELLO_BYTES) resolve(request.subarray(0, HELLO_BYTES));
      })
      .on('end', fail)
      .on('close', () => {
        clearTimeout(limit);
        fail();
      });
  });
}

/** Resolves when the socket takes more. Throws if it has closed, or takes nothing for STALL_MS. */
async function write(socket: TLSSocket, data: Buffer): Promise<void> {
  if (socket.destroyed) throw new Error('the connection closed');
  if (!socket.write(data)) await taken(socket, 'drain');
}

/** Resolves with the event. Throws if the socket closes before, or STALL_MS pass. */
function taken(socket: TLSSocket, event: 'drain' | 'finish'): Promise<void> {
  return new Promise((resolve, reject) => {
    const closed = () => settle(() => reject(new Error('the connection closed')));
    const stalled = setTimeout(() => settle(() => reject(new Error('the client takes nothing'))), STALL_MS);
    const done = () => settle(resolve);
    const settle = (result: () => void) => {
      clearTimeout(stalled);
      socket.off(event, done).off('close', closed);
      result();
    };
    socket.once(event, done).once('close', closed);
  });
}

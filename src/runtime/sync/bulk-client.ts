/** Fetches the table of another director, when this one joins. */
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { Slice } from '../../model/slice.ts';
import {
  FROM_START,
  FrameReader,
  HELLO_BYTES,
  type Hello,
  readHello,
  writeHello,
} from '../../sync/bulk-format.ts';
import { HEADER_BYTES } from '../../sync/message-v1.ts';
import type { SyncKey } from '../../sync/sync-keys.ts';
import type { Synchronization } from '../../sync/synchronization.ts';
import { clientOptions } from './bulk-tls.ts';

/** ms for the connection and the handshake. */
const CONNECT_MS = 3000;
/** ms without data after which a transfer has failed. */
const STALL_MS = 10_000;

export interface BulkClientOptions {
  readonly sync: Synchronization;
  readonly clock: () => number;
  /** Aborts the transfer. */
  readonly signal: AbortSignal;
}

/** A transfer from one director, which goes on where it ended. */
export class BulkFetch {
  readonly #options: BulkClientOptions;
  readonly #at: { readonly host: string; readonly port: number };
  readonly #began: number;
  /** What arrived so far. */
  #position: Hello = FROM_START;

  constructor(options: BulkClientOptions, at: { readonly host: string; readonly port: number }) {
    this.#options = options;
    this.#at = at;
    this.#began = options.clock();
  }

  /** Returns the place after the last frame that arrived. */
  get place(): number {
    return this.#position.place;
  }

  /** Resolves when the transfer is complete. Throws an Error if it ended before; call it again then. */
  async run(key: SyncKey): Promise<void> {
    const { signal } = this.#options;
    const socket = connect({ ...this.#at, ...clientOptions(key) });
    // Errors arrive where the stream is read.
    socket.on('error', () => {});
    const end = () => socket.destroy(new Error('aborted'));
    signal.addEventListener('abort', end);
    const limit = setTimeout(() => socket.destroy(new Error('no connection')), CONNECT_MS);
    try {
      await once(socket, 'secureConnect');
      clearTimeout(limit);
      socket.setTimeout(STALL_MS, () => socket.destroy(new Error('no data')));
      socket.write(writeHello(this.#position));
      await this.#read(socket);
    } finally {
      clearTimeout(limit);
      signal.removeEventListener('abort', end);
      socket.destroy();
    }
  }

  async #read(socket: TLSSocket): Promise<void> {
    let head: Buffer | undefined = Buffer.alloc(0);
    const frames = new FrameReader();
    const slice = new Slice();
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      let rest = chunk;
      if (head !== undefined) {
        rest = Buffer.concat([head, chunk]);
        head = rest;
        if (rest.length < HELLO_BYTES) continue;
        head = undefined;
        this.#begin(rest.subarray(0, HELLO_BYTES));
        rest = rest.subarray(HELLO_BYTES);
      }
      for (const { place, message } of frames.push(rest)) {
        if (message.length === HEADER_BYTES) return;
        this.#take(message);
        this.#position = { ...this.#position, place };
        if (slice.spent) await slice.next();
      }
    }
    throw new Error('the connection closed');
  }

  #begin(head: Buffer): void {
    const hello = readHello(head);
    if (hello === undefined) throw new Error('invalid answer');
    this.#position = hello;
  }

  #take(message: Buffer): void {
    const { sync, clock, signal } = this.#options;
    signal.throwIfAborted();
    if (!sync.copy(message, clock(), this.#began)) throw new Error('invalid message');
  }
}

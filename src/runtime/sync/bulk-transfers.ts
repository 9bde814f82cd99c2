/** Bulk transfers of a director: serves its table to others, and fetches theirs when its backup daemon starts. */
import { setTimeout as delay } from 'node:timers/promises';
import { interfaceAddresses } from '../../host/interface-addresses.ts';
import { Slice } from '../../model/slice.ts';
import type { SyncKey } from '../../sync/sync-keys.ts';
import type { Log } from '../log.ts';
import { BulkFetch } from './bulk-client.ts';
import { BulkServer, type BulkServerOptions } from './bulk-server.ts';

/** Attempts without progress after which a transfer is given up, and ms between two. */
const MAX_ATTEMPTS = 3;
const RETRY_MS = 1000;
/** Time for which a director waits for the connections of others before it serves, ms. */
const MAX_WAIT_MS = 60_000;
/** Rows that are linked to templates without a pause. */
const ROWS_PER_PORTION = 1024;

export interface BulkConfiguration {
  readonly keys: readonly SyncKey[];
  /** Addresses of the directors; those of this host may be among them. */
  readonly peers: readonly string[];
  readonly port: number;
}

const NOTHING: BulkConfiguration = { keys: [], peers: [], port: 0 };

export interface BulkTransfersOptions extends Pick<BulkServerOptions, 'sync' | 'session' | 'clock' | 'log'> {
  /** Returns the number of places of the table. */
  readonly places: () => number;
}

export class BulkTransfers {
  readonly #options: BulkTransfersOptions;
  readonly #log: Log;
  #configuration = NOTHING;
  #servers = new Map<string, BulkServer>();
  #fetching: AbortController | undefined;
  /** ms. */
  #waitEnd = 0;
  #isBackup = false;

  constructor(options: BulkTransfersOptions) {
    this.#options = options;
    this.#log = options.log;
  }

  /**
   * Reports whether connections of another director are awaited. A transfer may take longer: a peer that sends slowly must not
   * keep this director from being the master for ever.
   */
  get isFetching(): boolean {
    return this.#fetching !== undefined && this.#options.clock() < this.#waitEnd;
  }

  /** Applies a configuration. Transfers that run go on; one begins if there were no peers to ask before. */
  configure(configuration: BulkConfiguration): void {
    const { port, keys, peers } = configuration;
    const isMoved = port !== this.#configuration.port;
    const hadPeers = this.#hasPeers;
    this.#configuration = configuration;
    if (this.#isBackup && this.#hasPeers && !hadPeers) void this.#fetchAll();
    for (const [address, server] of this.#servers)
      if (isMoved || keys.length === 0 || !peers.includes(address)) this.#close(address, server);
    this.check();
  }

  /** Listens on addresses of this host that have arrived. Call it once a second. */
  check(): void {
    const { keys, peers, port } = this.#configuration;
    if (keys.length === 0) return;
    for (const [address, server] of this.#servers) if (!server.isListening) this.#close(address, server);
    const own = ownAddresses();
    for (const host of peers)
      if (own.has(host) && !this.#servers.has(host))
        this.#servers.set(
          host,
          new BulkServer(
            {
              ...this.#options,
              keys: () => this.#configuration.keys,
              isPeer: (address) => this.#configuration.peers.includes(address.replace(/^::ffff:/, '')),
            },
            { host, port },
          ),
        );
  }

  /** The backup daemon has started, or stopped. */
  setBackup(isBackup: boolean): void {
    if (isBackup === this.#isBackup) return;
    this.#isBackup = isBackup;
    this.#fetching?.abort();
    this.#fetching = undefined;
    if (isBackup && this.#hasPeers) void this.#fetchAll();
  }

  get #hasPeers(): boolean {
    const { keys, peers } = this.#configuration;
    return keys.length > 0 && peers.length > 0;
  }

  [Symbol.dispose](): void {
    this.#fetching?.abort();
    for (const [address, server] of this.#servers) this.#close(address, server);
  }

  #close(address: string, server: BulkServer): void {
    server[Symbol.dispose]();
    this.#servers.delete(address);
  }

  async #fetchAll(): Promise<void> {
    const ending = new AbortController();
    this.#fetching = ending;
    this.#waitEnd = this.#options.clock() + MAX_WAIT_MS;
    const { peers, port } = this.#configuration;
    try {
      const own = ownAddresses();
      for (const host of peers.filter((peer) => !own.has(peer)))
        await this.#fetch({ host, port }, ending.signal);
    } finally {
      if (this.#fetching === ending) this.#fetching = undefined;
    }
  }

  /** Fetches the table of one director. Tries all keys in turn, and goes on where a transfer ended. */
  async #fetch(at: { readonly host: string; readonly port: number }, signal: AbortSignal): Promise<void> {
    const { sync, clock } = this.#options;
    const transfer = new BulkFetch({ sync, clock, signal }, at);
    const began = clock();
    const before = sync.counts.bulkTakenEntries;
    for (let attempt = 0, tries = 0; attempt < MAX_ATTEMPTS; tries++) {
      const { keys } = this.#configuration;
      const key = keys[tries % keys.length];
      if (key === undefined || signal.aborted) return;
      const { place } = transfer;
      try {
        await transfer.run(key);
        await this.#link();
        sync.counts.receivedBulks++;
        const connections = sync.counts.bulkTakenEntries - before;
        this.#log('info', 'bulk-received', { peer: at.host, connections, seconds: (clock() - began) / 1000 });
        return;
      } catch (error) {
        if (signal.aborted) return;
        attempt = transfer.place > place ? 0 : attempt + 1;
        this.#log('warning', 'bulk-interrupted', { peer: at.host, error: (error as Error).message });
        await delay(RETRY_MS, undefined, { signal }).catch(() => {});
      }
    }
    sync.counts.failedBulks++;
    this.#log('warning', 'bulk-failed', { peer: at.host });
  }

  /** Links connections to templates, in slices. */
  async #link(): Promise<void> {
    const { sync, places } = this.#options;
    const slice = new Slice();
    for (let from = 0; from < places(); from += ROWS_PER_PORTION) {
      sync.link(from, from + ROWS_PER_PORTION);
      if (slice.spent) await slice.next();
    }
  }
}

const ownAddresses = (): ReadonlySet<string> => new Set(interfaceAddresses().map(({ address }) => address));

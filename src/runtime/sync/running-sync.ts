/** Connection synchronization of a running director: the sockets of its daemons, its keys, and bulk transfers. */
import { randomBytes } from 'node:crypto';
import type { DirectorCore } from '../../director/core.ts';
import { deriveKey } from '../../sync/sync-keys.ts';
import { Synchronization, type SyncTransport } from '../../sync/synchronization.ts';
import type { LoadedSync } from '../configuration/configuration.ts';
import type { Log } from '../log.ts';
import { handOver, handOverAll } from '../restart/hand-over.ts';
import { BulkTransfers } from './bulk-transfers.ts';
import { SyncRefusals } from './sync-refusals.ts';
import { SyncSockets } from './sync-sockets.ts';

/** Bytes of the name of this director in its messages, and of a session of bulk transfers. */
const SENDER_BYTES = 8;

export class RunningSync {
  readonly #sync: Synchronization;
  readonly #sockets: SyncSockets;
  readonly #bulk: BulkTransfers;
  readonly #refusals: SyncRefusals;
  readonly #clock: () => number;

  constructor(core: DirectorCore, clock: () => number, log: Log) {
    this.#clock = clock;
    const sockets = new SyncSockets({
      receive: (message) => this.#sync.receive(message, clock()),
      bufferBytes: () => core.settings.sync_sock_size,
      log,
    });
    const transport: SyncTransport = {
      open: (daemon, ports) => {
        sockets.open(daemon, ports);
        if (daemon.role === 'backup') this.#bulk.setBackup(true);
      },
      close: (role) => {
        sockets.close(role);
        if (role === 'backup') this.#bulk.setBackup(false);
      },
      send: (port, message) => sockets.send(port, message),
    };
    const sender = randomBytes(SENDER_BYTES);
    const sync = new Synchronization({ core, transport, wallClock: Date.now, sender });
    core.sync.attach(sync);
    this.#sync = sync;
    this.#sockets = sockets;
    const places = () => core.table.places;
    this.#bulk = new BulkTransfers({ sync, session: sender, clock, log, places });
    this.#refusals = new SyncRefusals(sync.counts, log);
  }

  /** Reports whether connections of another director are being fetched. */
  get isFetching(): boolean {
    return this.#bulk.isFetching;
  }

  /** Applies the part of a file that its commands do not have; before the commands. */
  configure({ secrets, peers, bulkPort }: LoadedSync = NO_SYNC): void {
    const keys = secrets.map(deriveKey);
    this.#sync.setKeys(keys);
    this.#bulk.configure({ keys, peers, port: bulkPort });
  }

  /** Reports refused messages, and listens on addresses that have arrived. Call it once a second. */
  check(): void {
    this.#bulk.check();
    this.#refusals.check();
  }

  /** Sends to the backups what they lack, and resolves when that is sent. */
  handOver(): Promise<void> {
    return handOver(this.#sync, this.#clock);
  }

  /** Hands over now, and again later. Resolves after the first time. */
  handOverAll(): Promise<void> {
    return handOverAll(this.#sync, this.#clock);
  }

  /** Closes all sockets. */
  [Symbol.dispose](): void {
    this.#bulk[Symbol.dispose]();
    this.#sockets[Symbol.dispose]();
  }
}

const NO_SYNC: LoadedSync = { interface: '', secrets: [], peers: [], bulkPort: 0 };

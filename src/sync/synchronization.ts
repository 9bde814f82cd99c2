/** Connection synchronization of a director: its daemons, and what they do when something happens. Contains no I/O. */

import type { ConnectionSync } from '../director/connection-sync.ts';
import type { DirectorCore } from '../director/core.ts';
import type { Service } from '../director/service.ts';
import type { SyncDaemon } from '../model/command.ts';
import type { Row } from '../model/connection.ts';
import { Signer, Verifier } from './authentication.ts';
import { Backup, makeHiddenService } from './backup.ts';
import { BulkExport } from './bulk-export.ts';
import { Master } from './master.ts';
import { Relink } from './relink.ts';
import { RowNotes } from './row-notes.ts';
import { newSyncCounts } from './sync-counts.ts';
import type { SyncKey } from './sync-keys.ts';
import { TableScan } from './table-scan.ts';

/** Ports that are used at most, whatever sync_ports is (ip_vs_ctl.c, Linux 6.1). */
const MAX_PORTS = 64;

/** Sockets of the daemons. */
export interface SyncTransport {
  /** Opens the sockets of a daemon that starts: one for each of `ports` ports, from that of the daemon on. */
  open(daemon: SyncDaemon, ports: number): void;
  /** Closes them. */
  close(role: SyncDaemon['role']): void;
  /** Sends a message of the master to the port of this number, from 0 on; false: not now, and not sent. */
  send(port: number, message: Uint8Array): boolean;
}

export interface SynchronizationOptions {
  readonly core: DirectorCore;
  readonly transport: SyncTransport;
  /** Returns ms since 1970. */
  readonly wallClock: () => number;
  /** 8 random bytes: the name of this director in its messages. */
  readonly sender: Uint8Array;
}

/** Times are ms of the director's clock. */
export class Synchronization implements ConnectionSync {
  /** Counts since the start. */
  readonly counts = newSyncCounts();
  readonly #core: DirectorCore;
  readonly #transport: SyncTransport;
  readonly #options: SynchronizationOptions;
  readonly #verifier: Verifier;
  readonly #relink: Relink;
  #signer: Signer | undefined;
  #isAuthenticated = false;
  #notes: RowNotes | undefined;
  #hidden: Service | undefined;
  #scan: TableScan | undefined;
  #daemons: readonly SyncDaemon[] = [];
  #ports = 1;
  #master: Master | undefined;
  #backup: Backup | undefined;
  #now = 0;

  constructor(options: SynchronizationOptions) {
    this.#options = options;
    this.#core = options.core;
    this.#transport = options.transport;
    this.#verifier = new Verifier(options.wallClock);
    this.#relink = new Relink(options.core);
  }

  /**
   * Signs messages with the first key, and takes messages with any of them only. Without keys, messages are neither signed
   * nor verified, as those of Linux 6.1.
   */
  setKeys(keys: readonly SyncKey[]): void {
    const { sender, wallClock } = this.#options;
    this.#verifier.setKeys(keys.map(({ message }) => message));
    this.#isAuthenticated = keys.length > 0;
    if (keys.length === 0) return;
    const { message } = keys[0]!;
    this.#signer ??= new Signer(message, sender, wallClock);
    this.#signer.setKey(message);
  }

  setDaemons(daemons: readonly SyncDaemon[], now: number): void {
    const before = this.#daemons;
    this.#daemons = daemons;
    if (before.length === 0) this.#ports = Math.min(this.#core.settings.sync_ports, MAX_PORTS);
    for (const daemon of before) if (!daemons.includes(daemon)) this.#stop(daemon.role);
    for (const daemon of daemons) if (!before.includes(daemon)) this.#start(daemon, now);
  }

  forwarded(row: Row, now: number): void {
    const master = this.#master;
    if (master === undefined) return;
    const { table, kernelPath } = this.#core;
    if (kernelPath.isAttached && !table.isOnePacket(row)) this.#scan!.examine(row, now, master);
    else master.packet(row, table.packets(row), now);
  }

  extended(row: Row): void {
    this.#master?.extended(row, this.#now);
  }

  advance(now: number): void {
    this.#now = now;
    const master = this.#master;
    if (master === undefined) return;
    // Without programs of the kernel, `forwarded` reports every packet.
    if (this.#core.kernelPath.isAttached) this.#scan!.advance(now, master);
    master.advance(now);
  }

  /** Bound of the places that `handOver` takes; 0 without a master. */
  get places(): number {
    return this.#master === undefined ? 0 : this.#core.table.places;
  }

  /** Sends the rows from `from` to `to`, exclusive, that backups do not know as they are now, in the next messages. */
  handOver(from: number, to: number, now: number): void {
    const master = this.#master;
    if (master === undefined) return;
    for (const row of this.#core.table.rows(from, to)) master.handOver(row, now);
  }

  /** Sends all messages now. Returns the number of those that the system does not take yet. */
  flush(now: number): number {
    return this.#master?.flush(now) ?? 0;
  }

  /** Takes a message that the backup received. */
  receive(message: Uint8Array, now: number): void {
    this.#backup?.receive(Buffer.from(message.buffer, message.byteOffset, message.length), now);
  }

  /** Begins a bulk transfer to another director, from the row `place` on. */
  export(place: number): BulkExport {
    return new BulkExport(this.#core, place);
  }

  /**
   * Takes a message of a bulk transfer that began at `began`. Reports whether it was well-formed, and a backup daemon runs.
   */
  copy(message: Buffer, now: number, began: number): boolean {
    return this.#backup?.copy(message, now, began) ?? false;
  }

  /** Links the connections of these rows to their templates, which a bulk transfer may bring after them. */
  link(from: Row, to: Row): void {
    for (const row of this.#core.table.rows(from, to)) this.#relink.link(row);
  }

  #start(daemon: SyncDaemon, now: number): void {
    const core = this.#core;
    const transport = this.#transport;
    const { counts } = this;
    const ports = this.#ports;
    this.#notes ??= new RowNotes(core.table);
    const notes = this.#notes;
    const relink = () => (this.#isAuthenticated ? this.#relink : undefined);
    if (daemon.role === 'master') {
      const send = (port: number, message: Uint8Array) => transport.send(port, message);
      const signer = () => (this.#isAuthenticated ? this.#signer : undefined);
      this.#master = new Master({ core, notes, daemon, ports, counts, signer, relink, send }, now);
      this.#scan = new TableScan(core.table, notes, now);
    } else {
      const verifier = () => (this.#isAuthenticated ? this.#verifier : undefined);
      this.#hidden ??= makeHiddenService(core);
      this.#backup = new Backup({ core, notes, hidden: this.#hidden, daemon, counts, verifier, relink });
    }
    transport.open(daemon, ports);
  }

  #stop(role: SyncDaemon['role']): void {
    // What waits to be sent is dropped, as in Linux 6.1.
    if (role === 'master') this.#master = undefined;
    else this.#backup = undefined;
    this.#transport.close(role);
  }
}

/** A master: sends connections to backups, by the rules of Linux 6.1 (ip_vs_sync.c). */

import type { DirectorCore } from '../director/core.ts';
import type { SyncDaemon } from '../model/command.ts';
import { NONE, type Row } from '../model/connection.ts';
import { familyOf } from '../wire/address.ts';
import type { Signer } from './authentication.ts';
import { SyncEntry } from './entry.ts';
import { fillEntry, timeoutOf } from './fill-entry.ts';
import { Outbox } from './outbox.ts';
import type { Relink } from './relink.ts';
import type { RowNotes } from './row-notes.ts';
import { decide, NOT_SENT, tickAt } from './send-rules.ts';
import type { SyncCounts } from './sync-counts.ts';

export interface MasterOptions {
  readonly core: DirectorCore;
  readonly notes: RowNotes;
  readonly daemon: SyncDaemon;
  /** Number of ports, a power of two. */
  readonly ports: number;
  readonly counts: SyncCounts;
  /** Returns what signs messages; undefined: they are not signed. */
  readonly signer: () => Signer | undefined;
  /** Returns what links connections to their templates; undefined: they stay without, as in Linux 6.1. */
  readonly relink: () => Relink | undefined;
  /** Sends a message to the port of this number, from 0 on; false: not now, and not sent. */
  readonly send: (port: number, message: Uint8Array) => boolean;
}

/** Times are ms of the director's clock. */
export class Master {
  readonly #core: DirectorCore;
  readonly #notes: RowNotes;
  readonly #relink: MasterOptions['relink'];
  /** With a key, other directors of this project receive. */
  readonly #isEager: () => boolean;
  readonly #counts: SyncCounts;
  readonly #outboxes: readonly Outbox[];
  readonly #entry = new SyncEntry();

  constructor({ core, notes, daemon, ports, counts, signer, relink, send }: MasterOptions, now: number) {
    this.#core = core;
    this.#relink = relink;
    this.#isEager = () => signer() !== undefined;
    this.#notes = notes;
    this.#counts = counts;
    this.#outboxes = Array.from(
      { length: ports },
      (_, port) =>
        new Outbox(
          {
            syncId: daemon.syncId,
            maxBytes: daemon.maxLength!,
            signer,
            maxWaiting: () => core.settings.sync_qlen_max,
            send(message) {
              const isSent = send(port, message);
              if (isSent) counts.sentMessages++;
              return isSent;
            },
            dropped: () => counts.droppedMessages++,
          },
          now,
        ),
    );
  }

  /** Sends the connection, and the rows that control it, if one is due after `packets` packets of its client. */
  packet(row: Row, packets: number, now: number): void {
    const { table, settings } = this.#core;
    const isVersion0 = settings.sync_version === 0;
    if (isVersion0 && !this.#isV4(row)) return;
    if (!table.isOnePacket(row)) {
      if (!this.#consider(row, packets, now) && isVersion0) return;
    } else if (isVersion0) return;
    this.#relink()?.link(row);
    const controller = table.template(row);
    if (controller === NONE) return;
    this.#notes.begin(controller, tickAt(now));
    this.packet(controller, this.#countPacket(controller), now);
  }

  /**
   * As `packet`, of a connection whose packets from `before` + 1 to `packets` were not reported one by one: it is sent like a
   * connection of which one of them was due.
   */
  packetBetween(row: Row, before: number, packets: number, now: number): void {
    const { sync_threshold: threshold, sync_period: period } = this.#core.settings;
    const due = period > 0 ? packets - ((((packets - threshold) % period) + period) % period) : threshold;
    this.packet(row, due > before && due <= packets ? due : packets, now);
  }

  /** Sends a row whose timer ended, and that controls others. */
  extended(row: Row, now: number): void {
    this.packet(row, this.#core.settings.sync_threshold, now);
  }

  /** Sends a row that backups do not know in its present state, whatever the state is. */
  handOver(row: Row, now: number): void {
    const { table, settings } = this.#core;
    if (table.isOnePacket(row) || table.hasEnded(row)) return;
    if (settings.sync_version === 0 && !this.#isV4(row)) return;
    const notes = this.#notes;
    notes.begin(row, tickAt(now));
    const state = table.state(row);
    if (notes.isKnown(row, state)) return;
    notes.setState(row, state);
    this.#send(row, now);
  }

  /** Sends the messages that are not full, too. Returns the number of messages that still wait. */
  flush(now: number): number {
    return this.#outboxes.reduce((waiting, outbox) => waiting + outbox.flush(now), 0);
  }

  advance(now: number): void {
    for (const outbox of this.#outboxes) outbox.advance(now);
  }

  /** Counts a packet of a client whose connection this row controls, and returns the count by which it is sent. */
  #countPacket(controller: Row): number {
    if (!this.#core.table.isTemplate(controller)) return this.#core.settings.sync_threshold;
    return ++this.#notes.counts[controller]!;
  }

  #isV4(row: Row): boolean {
    const { table, destinations } = this.#core;
    return familyOf(destinations.all[table.destination(row)]!.address) === 4;
  }

  #consider(row: Row, packets: number, now: number): boolean {
    const { table, settings } = this.#core;
    const notes = this.#notes;
    notes.begin(row, tickAt(now));
    const state = table.state(row);
    const controller = table.template(row);
    const end = decide(
      {
        isTemplate: table.isTemplate(row),
        isEager: this.#isEager(),
        isPersistent: controller !== NONE && table.isTemplate(controller),
        protocol: table.protocol(row),
        state,
        sentState: notes.state(row),
        packets,
        timeout: timeoutOf(this.#core, row),
        sentEnd: notes.end(row),
      },
      settings,
      now,
    );
    if (end === NOT_SENT) return false;
    notes.setState(row, state);
    notes.setEnd(row, end);
    this.#send(row, now);
    return true;
  }

  #send(row: Row, now: number): void {
    fillEntry(this.#core, row, this.#entry);
    // A connection keeps its port, so that a backup applies its messages in order.
    const outbox = this.#outboxes[row & (this.#outboxes.length - 1)]!;
    outbox.add(this.#entry, this.#core.settings.sync_version, now);
    this.#counts.sentEntries++;
  }
}

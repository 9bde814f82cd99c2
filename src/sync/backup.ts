/** A backup: takes connections from a master's messages, by the rules of Linux 6.1 (ip_vs_sync.c). */

import { countActivated, countDeactivated } from '../director/connection-counts.ts';
import {
  FORWARDING_METHOD,
  hasEndedIn,
  INACTIVE,
  isInactiveIn,
  LOCAL,
  MASQ,
  NO_CPORT,
  NOOUTPUT,
  ONE_PACKET,
  ROUTE,
  SYNC,
  TEMPLATE,
} from '../director/connection-flags.ts';
import type { DirectorCore } from '../director/core.ts';
import { bindWith, end, methodFlags } from '../director/path/connection-lifecycle.ts';
import { setFtpShift } from '../director/path/ftp-shift.ts';
import { engineNames, saltOf } from '../director/path/persistence.ts';
import { SCTP_STATES } from '../director/path/sctp-state.ts';
import { TCP_STATES } from '../director/path/tcp-state.ts';
import { UDP_STATES } from '../director/path/udp-state.ts';
import type { RealDestination, Service } from '../director/service.ts';
import { MAX_TIMEOUT_S } from '../director/settings.ts';
import type { SyncDaemon } from '../model/command.ts';
import { NONE, type Row } from '../model/connection.ts';
import { type Address, ANY4, isV4, sameAddress } from '../wire/address.ts';
import { ESP } from '../wire/ipsec.ts';
import { AUTHENTICATION } from '../wire/ipv6.ts';
import { SCTP } from '../wire/sctp.ts';
import { TCP } from '../wire/tcp.ts';
import { UDP } from '../wire/udp.ts';
import type { Verifier } from './authentication.ts';
import { REPLY_SEQUENCES, REPLY_SHIFT, SyncEntry } from './entry.ts';
import * as v0 from './message-v0.ts';
import * as v1 from './message-v1.ts';
import type { Relink } from './relink.ts';
import type { RowNotes } from './row-notes.ts';
import { tickAt } from './send-rules.ts';
import type { SyncCounts } from './sync-counts.ts';

/** Flags of a message that are taken (IP_VS_CONN_F_BACKUP_MASK, ip_vs.h 6.1); sequence numbers are not changed here. */
const TAKEN_FLAGS = FORWARDING_METHOD | NOOUTPUT | INACTIVE | NO_CPORT | TEMPLATE;
/** ms: timeout of what has neither one in the message nor one of its state. */
const OTHER_TIMEOUT_MS = 180_000;
/** Numbers of states that a row can hold: templates with a higher one are listed alike. */
const MAX_ROW_STATE = 13;
/** Numbers of states, by protocol. A template may have any. */
const STATES: Readonly<Record<number, number>> = {
  [TCP]: TCP_STATES.length,
  [UDP]: UDP_STATES.length,
  [SCTP]: SCTP_STATES.length,
  [ESP]: 1,
  [AUTHENTICATION]: 1,
};

export interface BackupOptions {
  readonly core: DirectorCore;
  readonly notes: RowNotes;
  /** The service of hidden destinations, which no packet is scheduled for. */
  readonly hidden: Service;
  readonly daemon: SyncDaemon;
  readonly counts: SyncCounts;
  /** Returns what verifies messages; undefined: all are taken. */
  readonly verifier: () => Verifier | undefined;
  /** Returns what links connections to their templates; undefined: they have none, as in Linux 6.1. */
  readonly relink: () => Relink | undefined;
}

/** Counts of messages that are refused. */
const REFUSALS = {
  unauthenticated: 'unauthenticatedMessages',
  stale: 'staleMessages',
  replayed: 'replayedMessages',
} as const;

/** Makes the service of hidden destinations, which the registry of services does not contain. */
export const makeHiddenService = ({ services }: Pick<DirectorCore, 'services'>): Service =>
  services.make({ protocol: 0, family: 4, address: ANY4, port: 0, mark: 0 }, { scheduler: 'rr' });

/** Times are ms of the director's clock. */
export class Backup {
  readonly #options: BackupOptions;
  readonly #entry = new SyncEntry();
  #now = 0;

  constructor(options: BackupOptions) {
    this.#options = options;
  }

  /** Takes the entries of a message. An invalid one costs what it costs in Linux 6.1, and is counted. */
  receive(message: Buffer, now: number): void {
    const { daemon, counts, verifier } = this.#options;
    const { syncId, maxLength = message.length } = daemon;
    counts.receivedMessages++;
    this.#now = now;
    const { length } = message;
    // The kernel reads the first `maxLength` bytes, and then finds another length.
    if (length > maxLength || length < v0.HEADER_BYTES || message.readUInt16BE(2) !== length)
      counts.malformedMessages++;
    // 0: those of all sync IDs are taken.
    else if (syncId !== 0 && message[1] !== syncId) counts.foreignMessages++;
    else {
      const verdict = verifier()?.verify(message) ?? 'authentic';
      if (verdict !== 'authentic') counts[REFUSALS[verdict]]++;
      else if (!this.#read(message)) counts.malformedMessages++;
    }
  }

  /**
   * Takes the entries of a bulk transfer that began at `began`, ms: a connection that had a packet or a message since is newer
   * than its entry. Reports whether the message was well-formed.
   */
  copy(message: Buffer, now: number, began: number): boolean {
    this.#now = now;
    const take = () => {
      if (this.#take(true, began)) this.#options.counts.bulkTakenEntries++;
      else this.#refuse();
    };
    return v1.readEntries(message, this.#entry, take, this.#refuse);
  }

  #read(message: Buffer): boolean {
    const isV1 =
      message.length >= v1.HEADER_BYTES &&
      message[0] === 0 &&
      message[v1.VERSION_AT] === v1.VERSION &&
      message.readUInt16BE(6) === 0;
    if (isV1) return v1.readEntries(message, this.#entry, this.#takeV1, this.#refuse);
    return v0.readEntries(message, this.#entry, this.#takeV0);
  }

  readonly #refuse = (): void => {
    this.#options.counts.refusedEntries++;
  };

  readonly #takeV1 = (): void => this.#count(this.#take(true));

  /** An entry of version 0 for one packet is not found again, and ends at once. */
  readonly #takeV0 = (): void => this.#count(this.#take((this.#entry.flags & ONE_PACKET) === 0));

  #count(isTaken: boolean): void {
    if (isTaken) this.#options.counts.takenEntries++;
    else this.#refuse();
  }

  /**
   * Takes an entry, or reports that it cannot. `mayAdd`: a new connection may be made. `began`: ms; connections that were
   * used since stay as they are.
   */
  #take(mayAdd: boolean, began?: number): boolean {
    const entry = this.#entry;
    const isTemplate = (entry.flags & TEMPLATE) !== 0;
    if (!isTemplate && entry.state >= (STATES[entry.protocol] ?? 0)) return false;
    if (!this.#hasUsableEngine() || !hasOneFamily(entry)) return false;
    // Lookups find such rows without the client's port.
    if (isTemplate || (entry.flags & NO_CPORT) !== 0) entry.cport = 0;
    const known = isTemplate ? this.#findTemplate() : this.#findConnection(began);
    if (known === 'ignored') return true;
    if (known !== NONE && this.#isUsedSince(known, began)) return true;
    const row = known === NONE ? (mayAdd ? this.#add() : NONE) : this.#update(known);
    if (row === NONE) return false;
    this.#settle(row, began === undefined ? undefined : this.#entry.remaining);
    return true;
  }

  #isUsedSince(row: Row, began: number | undefined): boolean {
    const { table } = this.#options.core;
    return began !== undefined && table.expires(row) - table.timeout(row) >= began;
  }

  /** Reports whether the entry has a key of a known persistence engine, or none. */
  #hasUsableEngine(): boolean {
    const { engine, engineData } = this.#entry;
    return engineData === undefined || (engine !== undefined && engineNames.includes(engine));
  }

  #findTemplate(): Row {
    const { protocol, caddr, vaddr, vport, engineData } = this.#entry;
    const { table, engineData: known } = this.#options.core;
    if (engineData === undefined) return table.findTemplate(protocol, caddr, vaddr, vport);
    const isIt = (row: Row) => known.get(row) === engineData;
    return table.templates(protocol, caddr, vaddr, vport, isIt, saltOf(engineData));
  }

  /**
   * Returns the connection of the entry. One with another destination was replaced: it ends, unless the entry reports the end
   * of an earlier one, which is ignored.
   */
  #findConnection(began: number | undefined): Row | 'ignored' {
    const { protocol, caddr, cport, vaddr, vport, dport, daddr, flags } = this.#entry;
    const { core } = this.#options;
    const { table } = core;
    const row = table.findFromClient(protocol, caddr, cport, vaddr, vport);
    if (row === NONE) return NONE;
    if (table.dport(row) === dport && sameAddress(this.#destinationOf(row).address, daddr)) return row;
    if ((flags & INACTIVE) !== 0 || this.#isUsedSince(row, began)) return 'ignored';
    end(core, row);
    return NONE;
  }

  #destinationOf(row: Row): RealDestination {
    const { table, destinations } = this.#options.core;
    return destinations.all[table.destination(row)]!;
  }

  /** Returns the destination of the entry among the configured ones. */
  #lookUp(): RealDestination | undefined {
    const { family, mark, protocol, vaddr, vport, daddr, dport, flags } = this.#entry;
    const service = this.#options.core.services.lookup(family, mark, protocol, vaddr, vport);
    if (service === undefined) return undefined;
    const port = mark !== 0 && (flags & FORWARDING_METHOD) !== MASQ ? 0 : dport;
    const found = service.destination(daddr, port) ?? service.destination(daddr, port ^ dport);
    // A row has the port of its destination or of its service.
    return found !== undefined && (dport === found.port || dport === vport) ? found : undefined;
  }

  /** Adds the entry's connection: to a configured destination, or to a hidden one, which is forwarded to as the entry says. */
  #add(): Row {
    const { core, hidden } = this.#options;
    const entry = this.#entry;
    const flags = (entry.flags & TAKEN_FLAGS) | SYNC;
    const configured = this.#lookUp();
    if (configured !== undefined) {
      if (core.access.isEnding(configured.service, entry.caddr)) return NONE;
      const activity = (flags & TEMPLATE) !== 0 ? INACTIVE : flags & INACTIVE;
      const kind = flags & (NO_CPORT | TEMPLATE | SYNC);
      return this.#bind(configured, kind | activity | methodFlags(core, configured));
    }
    const destination = core.destinations.obtainHidden(hidden, entry.daddr.slice(), entry.dport);
    if (destination === undefined) return NONE;
    const method = flags & FORWARDING_METHOD;
    const isLocal = method > ROUTE || (method !== MASQ && core.forwarding.host.isLocal(entry.daddr));
    return this.#bind(destination, isLocal ? (flags & ~FORWARDING_METHOD) | LOCAL : flags);
  }

  #bind(destination: RealDestination, flags: number): Row {
    const { core } = this.#options;
    const { dport, engineData } = this.#entry;
    const isTemplate = (flags & TEMPLATE) !== 0;
    const salt = isTemplate && engineData !== undefined ? saltOf(engineData) : 0;
    const row = bindWith(core, this.#entry, { destination, dport, flags, salt });
    if (row !== NONE && isTemplate && engineData !== undefined) core.engineData.set(row, engineData);
    return row;
  }

  /**
   * Takes activity from the entry, and a destination that was configured since; returns the row, which is another one then.
   * Whether this director or a master made the connection makes no difference.
   */
  #update(row: Row): Row {
    const { core } = this.#options;
    const { table } = core;
    const { flags, state } = this.#entry;
    const isUnbound = this.#destinationOf(row).hidden;
    if (isUnbound && this.#lookUp() !== undefined && end(core, row)) return this.#add();
    if ((flags & TEMPLATE) !== 0) return row;
    const isInactive = (flags & INACTIVE) !== 0;
    // A program of the kernel may change the state meanwhile.
    for (let track = table.track(row); !hasEndedIn(track); track = table.track(row)) {
      const wasInactive = isInactiveIn(track);
      // Read after `track`: a program may have given the row another destination.
      const destination = this.#destinationOf(row);
      if (!table.enterState(row, track, state, isInactive)) continue;
      if (isInactive && !wasInactive) countDeactivated(destination);
      if (!isInactive && wasInactive) countActivated(destination);
      return row;
    }
    return NONE;
  }

  /**
   * Sets state, timeout and counts as the entry says. A master that this director becomes goes on from these. `remaining`: ms
   * of the timeout that are left.
   */
  #settle(row: Row, remaining: number | undefined): void {
    const { core, notes, relink } = this.#options;
    const { table, settings } = core;
    const { flags, state, timeout } = this.#entry;
    const isTemplate = (flags & TEMPLATE) !== 0;
    table.setState(row, Math.min(state, MAX_ROW_STATE));
    if (!isTemplate) table.setPackets(row, settings.sync_threshold & 0xffff);
    notes.begin(row, tickAt(this.#now));
    notes.setState(row, Math.min(state, MAX_ROW_STATE));
    notes.counts[row] = settings.sync_threshold;
    table.setTimeout(
      row,
      timeout > 0
        ? Math.min(timeout, MAX_TIMEOUT_S) * 1000
        : isTemplate
          ? OTHER_TIMEOUT_MS
          : this.#timeoutOfState(),
    );
    // It expires when it does on the director that sent it.
    const elapsed = remaining === undefined ? 0 : Math.max(0, table.timeout(row) - remaining);
    table.touch(row, this.#now - elapsed);
    if ((flags & REPLY_SEQUENCES) !== 0) setFtpShift(core, row, this.#entry.sequences[REPLY_SHIFT]! | 0);
    relink()?.link(row);
  }

  #timeoutOfState(): number {
    const { protocol, state } = this.#entry;
    const { tcp, udp, sctp } = this.#options.core.timeouts;
    const timeouts = protocol === TCP ? tcp : protocol === UDP ? udp : protocol === SCTP ? sctp : undefined;
    return timeouts?.[state] ?? OTHER_TIMEOUT_MS;
  }
}

/** Reports whether all addresses are of the entry's family: IPv4-mapped addresses of IPv6 are those of IPv4 here. */
const hasOneFamily = ({ family, caddr, vaddr, daddr }: SyncEntry): boolean =>
  family === 4 || ![caddr, vaddr, daddr].some((address: Address) => isV4(address));

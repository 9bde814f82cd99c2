/** Defenses against floods, updated once a second: drop_packet, drop_entry, secure_tcp. */

import type { Row } from '../../model/connection.ts';
import type { SettingName } from '../../model/settings.ts';
import { SCTP } from '../../wire/sctp.ts';
import { TCP } from '../../wire/tcp.ts';
import { NEARLY_FULL_SHARE } from '../connections.ts';
import type { DirectorCore } from '../core.ts';
import { purge } from './connection-lifecycle.ts';
import { SCTP_ESTABLISHED, SCTP_INIT_STATE, SCTP_INIT1_STATE } from './sctp-state.ts';
import { TCP_ESTABLISHED, TCP_SYN_RECV, TCP_SYNACK } from './tcp-state.ts';
import { ASSURED } from './tracking.ts';

/** Interval of the updates, ms. */
export const DEFENSE_INTERVAL_MS = 1000;

/*
 * Strategies: never, when memory is short (now it is not, now it is), always
 * (Documentation/networking/ipvs-sysctl.rst, 6.1).
 */
const WHEN_SHORT = 1;
const NOW_SHORT = 2;
const ALWAYS = 3;

/** Bytes of a page, the unit of amemthresh. */
const PAGE_BYTES = 4096;
/** Approximate bytes of a connection in the table. */
const ROW_BYTES = 128;
/** Memory is never short while a smaller share of the table is in use. */
const NEVER_SHORT_SHARE = 7 / 8;
/** drop_entry examines one in this many rows per second. */
const ROWS_PER_EXAMINED_ROW = 32;
/** Rows that are looked at together: neighbors in memory, and connections of unrelated clients. */
const ROWS_PER_BLOCK = 16;
/** Idle time, ms, and number of packets up to which drop_entry drops an established connection. */
const MIN_IDLE_MS = 60_000;
const MAX_DROPPED_PACKETS = 8;

/** Embryonic connections that have waited so long give way to new ones in a table that is nearly full. */
const MIN_WAIT_MS = 3000;
/** Connections that are searched for an embryonic one after a packet that found the table full. */
const MAX_SEARCHED_ROWS = 64;

/** Reports whether a connection waits for the end of its handshake. */
const isEmbryonic = (protocol: number, state: number): boolean =>
  protocol === TCP
    ? state === TCP_SYN_RECV || state === TCP_SYNACK
    : protocol === SCTP && (state === SCTP_INIT1_STATE || state === SCTP_INIT_STATE);

const STRATEGIES: readonly SettingName[] = ['drop_packet', 'drop_entry', 'secure_tcp'];

/** Reports whether the setting takes effect immediately; others that defenses read do within a second. */
export const isStrategy = (name: SettingName): boolean => STRATEGIES.includes(name);

export class Defense {
  readonly #core: DirectorCore;
  /** The row at which the last search for an embryonic connection ended. */
  #hand = 0;
  /** Connections that had been made at the last call of `makeRoom`. */
  #admitted = 0;
  /** How often an idle connection with so many packets may be spared still. */
  readonly #sparings = new Int32Array(MAX_DROPPED_PACKETS + 1);

  constructor(core: DirectorCore) {
    this.#core = core;
  }

  /** Activates the strategies according to settings and memory. */
  update(): void {
    const { settings, table } = this.#core;
    const pages = (rows: number) => Math.floor((rows * ROW_BYTES) / PAGE_BYTES);
    const free = pages(table.capacity - table.size);
    const least = Math.min(settings.amemthresh, pages(table.capacity * (1 - NEVER_SHORT_SHARE)));
    const isShort = free < least;
    for (const name of STRATEGIES) {
      if (settings[name] === WHEN_SHORT && isShort) settings[name] = NOW_SHORT;
      else if (settings[name] === NOW_SHORT && !isShort) settings[name] = WHEN_SHORT;
    }
    this.#core.secureTcp = settings.secure_tcp >= NOW_SHORT;
    this.#core.dropRate = this.#dropRate(free, least);
  }

  #dropRate(free: number, least: number): number {
    const { settings } = this.#core;
    if (settings.drop_packet === ALWAYS) return settings.am_droprate;
    if (settings.drop_packet !== NOW_SHORT) return 0;
    return Math.max(1, Math.floor(least / (least - free)));
  }

  /** Drops less useful entries of a part of the table, if drop_entry is active. */
  scan(now: number): void {
    const { settings, table, random } = this.#core;
    if (settings.drop_entry < NOW_SHORT) return;
    const blocks = Math.ceil(table.places / ROWS_PER_BLOCK);
    for (let left = Math.ceil(blocks / ROWS_PER_EXAMINED_ROW); left > 0; left--) {
      const first = Math.floor(random() * blocks) * ROWS_PER_BLOCK;
      for (let row = first; row < first + ROWS_PER_BLOCK; row++)
        if (table.has(row) && this.#isDispensable(row, now)) purge(this.#core, row);
    }
  }

  /**
   * Ends one embryonic connection if the table is full, so that the next client finds a free entry; in a table that is
   * nearly full, one for each new connection, if it has waited for MIN_WAIT_MS. The search goes round the table, so that an
   * entry stays for half a round on average. Known connections never give way.
   */
  makeRoom(now: number): void {
    const { table, counts } = this.#core;
    const isFull = table.size >= table.capacity;
    const isNew = counts.admitted !== this.#admitted;
    this.#admitted = counts.admitted;
    if (!isFull && !(isNew && table.size >= table.capacity * NEARLY_FULL_SHARE)) return;
    for (let looked = 0; looked < MAX_SEARCHED_ROWS; ) {
      this.#hand = this.#hand + 1 < table.places ? this.#hand + 1 : 0;
      const row = this.#hand;
      if (!table.has(row)) continue;
      looked++;
      if (table.children(row) > 0 || table.isTemplate(row)) continue;
      if (!isEmbryonic(table.protocol(row), table.state(row))) continue;
      if (!isFull && table.expires(row) - table.timeout(row) > now - MIN_WAIT_MS) continue;
      purge(this.#core, row);
      return;
    }
  }

  #isDispensable(row: Row, now: number): boolean {
    const { table } = this.#core;
    if (table.children(row) > 0) return false;
    const state = table.state(row);
    if (table.isTemplate(row)) return state !== ASSURED;
    switch (table.protocol(row)) {
      case TCP:
        if (state === TCP_SYN_RECV || state === TCP_SYNACK) return true;
        return state === TCP_ESTABLISHED && this.#isForgotten(row, now);
      case SCTP:
        if (state === SCTP_INIT1_STATE || state === SCTP_INIT_STATE) return true;
        return state === SCTP_ESTABLISHED && this.#isForgotten(row, now);
      default:
        return this.#isForgotten(row, now);
    }
  }

  /**
   * Reports whether an idle connection with few packets is dropped; of those with more packets, more are
   * kept.
   */
  #isForgotten(row: Row, now: number): boolean {
    const { table } = this.#core;
    if (table.expires(row) - table.timeout(row) > now - MIN_IDLE_MS) return false;
    const packets = table.packets(row);
    if (packets === 0 || packets > MAX_DROPPED_PACKETS) return false;
    if (--this.#sparings[packets]! > 0) return false;
    this.#sparings[packets] = packets;
    return true;
  }
}

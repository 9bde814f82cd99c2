/** When a master sends a connection: sync_threshold, sync_refresh_period, sync_retries (ip_vs_sync.c, Linux 6.1). */
import type { Settings } from '../model/settings.ts';
import { SCTP } from '../wire/sctp.ts';
import { TCP } from '../wire/tcp.ts';

/** Length of a tick of these rules, ms. The kernel's are jiffies: these are those of a kernel with 100 of them a second. */
export const TICK_MS = 10;
const TICKS_PER_SECOND = 1000 / TICK_MS;
/** Low bits of a noted end that count repetitions. */
const RETRIES_MASK = 3;
/** A refresh is due at the latest when the timeout has moved by this, or by half of itself if that is more. */
const MIN_REFRESH_TICKS = 10 * TICKS_PER_SECOND;

/* States by their numbers in messages (include/net/ip_vs.h, Linux 6.1). */
const TCP_ESTABLISHED = 1;
/** ESTABLISHED, FIN_WAIT, TIME_WAIT, CLOSE, CLOSE_WAIT. */
const TCP_SENT = (1 << 1) | (1 << 4) | (1 << 5) | (1 << 6) | (1 << 7);
const SCTP_ESTABLISHED = 8;
/** ESTABLISHED, SHUTDOWN_SENT, SHUTDOWN_RECEIVED, SHUTDOWN_ACK_SENT, CLOSED. */
const SCTP_SENT = (1 << 8) | (1 << 9) | (1 << 10) | (1 << 11) | (1 << 13);

/** The row in question. */
export interface Candidate {
  readonly isTemplate: boolean;
  /** It is sent when it becomes established, which Linux 6.1 leaves to the count of packets. */
  readonly isEager: boolean;
  /** A template decided about it. */
  readonly isPersistent: boolean;
  readonly protocol: number;
  readonly state: number;
  /** The state that was sent last; 0: none. */
  readonly sentState: number;
  /** Packets of its client, or of a template's clients. */
  readonly packets: number;
  /** ms. */
  readonly timeout: number;
  /** What `decide` returned for it last, or the tick at which it began. */
  readonly sentEnd: number;
}

/** What a decision not to send returns. */
export const NOT_SENT = undefined;

/** Returns the tick at `now`, ms; signed, modulo 2^32. */
export const tickAt = (now: number): number => Math.floor(now / TICK_MS) & ~RETRIES_MASK;

/**
 * Returns NOT_SENT, or that the row is sent at `now`: the end of its timeout, which must be noted as `sentEnd`, in ticks;
 * signed, modulo 2^32, with the number of repetitions in the low two bits.
 */
export function decide(row: Candidate, settings: Readonly<Settings>, now: number): number | undefined {
  const tick = Math.floor(now / TICK_MS) | 0;
  const timeout = Math.floor(row.timeout / TICK_MS);
  const end = (tick + timeout) & ~RETRIES_MASK;
  if (!row.isTemplate) {
    if (settings.sync_persist_mode !== 0 && row.isPersistent) return NOT_SENT;
    const [sent, established] =
      row.protocol === TCP
        ? [TCP_SENT, TCP_ESTABLISHED]
        : row.protocol === SCTP
          ? [SCTP_SENT, SCTP_ESTABLISHED]
          : [-1, row.state];
    if (((sent >>> row.state) & 1) === 0) return NOT_SENT;
    if ((row.state !== established || row.isEager) && row.state !== row.sentState) return end;
  }
  const refresh = settings.sync_refresh_period * TICKS_PER_SECOND;
  let noted = end;
  if (refresh > 0) {
    const moved = Math.abs((end - row.sentEnd) | 0);
    if (moved < Math.min(refresh, Math.max(timeout >>> 1, MIN_REFRESH_TICKS))) {
      const retries = row.sentEnd & RETRIES_MASK;
      if (retries >= settings.sync_retries) return NOT_SENT;
      const next = (row.sentEnd - timeout + (refresh >>> 3)) | 0;
      if (((tick - next) | 0) < 0) return NOT_SENT;
      noted |= retries + 1;
    }
  }
  const { sync_period: period, sync_threshold: threshold } = settings;
  if (period > 0) {
    // It was sent with the packet that established it.
    if (row.isEager && row.sentState !== 0 && row.packets === threshold) return NOT_SENT;
    if (!row.isTemplate && row.packets % period !== threshold) return NOT_SENT;
  } else if (refresh === 0 && row.packets !== threshold) return NOT_SENT;
  return noted;
}

/** A scheduler: the policy that selects the destination of a new connection. */
import type { Destination } from '../model/destination.ts';
import type { Settings } from '../model/settings.ts';
import type { Takeover } from '../model/takeover.ts';
import type { Address } from '../wire/address.ts';

/** Bits of `SchedulerContext.flags` for sh and mh; FALLBACK: use another destination if the hashed one is unavailable. */
export const FALLBACK = 1;
/** Includes the client's port in the hash. */
export const PORT = 2;

/** The packet to schedule, with its addresses and ports, not a template's masked ones. Reused. */
export interface Request {
  readonly caddr: Address;
  readonly cport: number;
  readonly vaddr: Address;
  readonly vport: number;
  /**
   * Destination address of the packet: the virtual address, or the client's when an ICMP error quotes a
   * packet to the client. The schedulers dh, lblc and lblcr of Linux 6.1 hash it unchanged (ip_vs_dh.c).
   */
  readonly daddr: Address;
  /** ms of the director's clock. */
  readonly now: number;
}

/** Where a scheduler is; kept in the service's record, so that programs of the kernel go on from it. */
export interface SchedulerPosition {
  /** Index in the list of the last selection; -1: before the first. */
  last: number;
  /** wrr: the level of a round, and the least and greatest of them. */
  level: number;
  step: number;
  top: number;
  /** Publishes the table of a hashing scheduler; empty: the scheduler makes it when it is needed. */
  setTable(destinations: readonly Destination[]): void;
}

/** The arguments of a scheduler. */
export interface SchedulerContext {
  /** The service's live list, newest first; the same array as long as the scheduler exists. */
  readonly destinations: readonly Destination[];
  /** Family of the service: destinations of a tunnel may have the other one. */
  readonly family: 4 | 6;
  readonly position: SchedulerPosition;
  /** Bit 0: fallback, bit 1: port (model/service.ts). */
  readonly flags: number;
  readonly settings: Readonly<Settings>;
  /** Missing: no earlier lists are kept. */
  readonly takeover?: Readonly<Takeover>;
  /** 0 <= x < 1; seeded in tests. */
  readonly random: () => number;
}

export interface Scheduler {
  /**
   * Returns a destination with a weight that is not overloaded; undefined when none exists (or the policy
   * refuses).
   */
  schedule(request: Request): Destination | undefined;
  /**
   * Returns the destination of a connection that another director has scheduled, by the same rule and perhaps by an earlier
   * list; it may be quiesced or overloaded. Missing: `schedule` selects, too.
   */
  continued?(request: Request): Destination | undefined;
  /**
   * Called after a destination was added to the list, edited in place, or removed from it. `index` is its index in the
   * list; for 'removed', its former index.
   */
  changed?(what: 'added' | 'edited' | 'removed', destination: Destination, index: number): void;
  /** Called about once a second, to expire state. `now` in ms. */
  expire?(now: number): void;
  /**
   * Returns a scheduler of the same kind that would select for `request` what this one would, from a list with a copy of
   * each destination at the same index, and a copy of the position. Missing when a new scheduler does so.
   */
  fork?(
    context: SchedulerContext,
    request: Request,
    twinOf: (destination: Destination) => Destination,
  ): Scheduler;
}

export type SchedulerFactory = (context: SchedulerContext) => Scheduler;

/** Schedulers that select by a hash, and with `FALLBACK` another destination where the selected one is unavailable. */
const HASHING: ReadonlySet<string> = new Set(['sh', 'mh']);

/** Reports whether clients are refused while the destination that the scheduler selects for them has weight 0, as in Linux 6.1. */
export const refusesUnavailable = (scheduler: string, flags = 0): boolean =>
  scheduler === 'dh' || (HASHING.has(scheduler) && (flags & FALLBACK) === 0);

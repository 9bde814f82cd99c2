/** What a scheduler is: the policy that chooses the destination of a new connection. */
import type { Destination } from '../model/destination.ts';
import type { Settings } from '../model/settings.ts';
import type { Address } from '../wire/address.ts';

/** Bits of `SchedulerContext.flags` for sh and mh; FALLBACK: use another destination if the hashed one is unavailable. */
export const FALLBACK = 1;
/** The client's port counts too. */
export const PORT = 2;

/** The packet that asks for a destination: its own addresses and ports, not a template's masked ones. Reused. */
export interface Request {
  readonly caddr: Address;
  readonly cport: number;
  readonly vaddr: Address;
  readonly vport: number;
  /**
   * The address that the packet itself is sent to: the virtual one, or the client's where an ICMP error quotes a packet
   * to the client. The schedulers dh, lblc and lblcr of Linux 6.1 hash it as it is (ip_vs_dh.c).
   */
  readonly daddr: Address;
  /** ms, of the director's clock. */
  readonly now: number;
}

/** What a scheduler is made from. */
export interface SchedulerContext {
  /** The service's live list, newest first; the same array for the scheduler's whole life. */
  readonly destinations: readonly Destination[];
  /** The service's: a tunnel's destination may be of the other one. */
  readonly family: 4 | 6;
  /** Bit 0: fallback, bit 1: port (model/service.ts). */
  readonly flags: number;
  readonly settings: Readonly<Settings>;
  /** 0 <= x < 1; seeded in tests. */
  readonly random: () => number;
}

export interface Scheduler {
  /** Returns a destination with a weight and not overloaded; undefined when there is none (or the policy refuses). */
  schedule(request: Request): Destination | undefined;
  /**
   * A destination was added to the list, edited in place, or taken out of the list (already done).
   * `index` is its place in the list; for 'removed', the place it had.
   */
  changed?(what: 'added' | 'edited' | 'removed', destination: Destination, index: number): void;
  /** Called about once a second, for what ages. `now` in ms. */
  expire?(now: number): void;
  /**
   * Returns a scheduler of the same kind that answers `request` as this one would now, over a list with a twin of each
   * destination in the same place. Absent where a new scheduler does so.
   */
  fork?(
    context: SchedulerContext,
    request: Request,
    twinOf: (destination: Destination) => Destination,
  ): Scheduler;
}

export type SchedulerFactory = (context: SchedulerContext) => Scheduler;

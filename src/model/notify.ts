/** Programs that the director runs when health changes. */

/** The events that a program can be run for. */
export const NOTIFY_EVENTS = [
  ...([
    'destination-up',
    'destination-down',
    'service-up',
    'service-down',
    'quorum-up',
    'quorum-down',
  ] as const),
];
export type NotifyEvent = (typeof NOTIFY_EVENTS)[number];

/** A program and its arguments for each event. */
export type Notify = Readonly<Partial<Record<NotifyEvent, readonly string[]>>>;

/** The user that programs run as; undefined: that of the director. */
export interface ProgramUser {
  readonly uid: number;
  readonly gid: number;
}

/** Programs since the start, by result. */
export interface NotifyCounts {
  succeeded: number;
  /** It could not be started, or its exit status was not 0. */
  failed: number;
  timedOut: number;
  /** Too many waited. */
  dropped: number;
}

/** One line an event, for people or for machines; no event can flood the log. */
import { fstatSync } from 'node:fs';
import { UNPRINTABLE } from '../model/unprintable.ts';

/** From the least to the worst. */
export const LEVELS = ['info', 'warning', 'error'] as const;
export type Level = (typeof LEVELS)[number];
export type Fields = Readonly<Record<string, string | number | boolean | undefined>>;
export type Log = (level: Level, event: string, fields?: Fields) => void;
export type LogFormat = 'text' | 'json';

/** Priorities of syslog(3), which the journal takes from the beginning of a line (sd-daemon(3)). */
const PRIORITIES: Readonly<Record<Level, string>> = { info: '<6>', warning: '<4>', error: '<3>' };

/**
 * Lines of one event in a window, and where it tells of a destination, of which many may change at once; ms of a
 * window. What is more is counted, and told with the event's next line.
 */
const MOST = 50;
const MOST_OF_DESTINATIONS = 1000;
const WINDOW = 10_000;

export interface LogOptions {
  readonly format: LogFormat;
  /** The least that is logged; default info. */
  readonly level?: Level;
  /** Whether the lines are sent to the journal of systemd, which adds the time and takes the level as a priority. */
  readonly isJournal?: boolean;
  /** Gets whole lines. */
  readonly write?: (line: string) => void;
  /** The wall clock. */
  readonly now?: () => Date;
}

export function createLog(options: LogOptions): Log {
  const { format, level: least = 'info', now = () => new Date() } = options;
  const { write = (line: string) => process.stderr.write(line), isJournal = false } = options;
  const line = format === 'json' ? jsonLine : textLine;
  return (level, event, fields = {}) => {
    if (LEVELS.indexOf(level) < LEVELS.indexOf(least)) return;
    const text = line(isJournal ? undefined : now().toISOString(), level, event, fields);
    write(`${isJournal ? PRIORITIES[level] : ''}${text}\n`);
  };
}

/** Reports whether a descriptor is connected to the journal: systemd names its device and inode (systemd.exec(5)). */
export function isJournalStream(
  environment: Readonly<Record<string, string | undefined>>,
  descriptor: number,
) {
  const stream = environment['JOURNAL_STREAM'];
  if (stream === undefined) return false;
  const { dev, ino } = fstatSync(descriptor);
  return stream === `${dev}:${ino}`;
}

/** `log` without floods; `now`: ms of any clock. */
export function limitedLog(log: Log, now: () => number = Date.now): Log {
  const limit = rateLimit();
  return (level, event, fields = {}) => {
    const most = fields['destination'] === undefined ? MOST : MOST_OF_DESTINATIONS;
    const suppressed = limit(event, most, now());
    if (suppressed >= 0) log(level, event, suppressed > 0 ? { ...fields, suppressed } : fields);
  };
}

/** Says how many lines of the event were left out before this one; -1: this one is, too. */
function rateLimit(): (event: string, most: number, now: number) => number {
  const windows = new Map<string, { from: number; lines: number; suppressed: number }>();
  return (event, most, now) => {
    const window = windows.get(event) ?? { from: now, lines: 0, suppressed: 0 };
    windows.set(event, window);
    if (now - window.from >= WINDOW || now < window.from) {
      window.from = now;
      window.lines = 0;
    }
    if (window.lines >= most) {
      window.suppressed++;
      return -1;
    }
    window.lines++;
    const { suppressed } = window;
    window.suppressed = 0;
    return suppressed;
  };
}

const jsonLine = (time: string | undefined, level: Level, event: string, fields: Fields): string =>
  jsonOf({ time, level, event, ...fields });

function textLine(time: string | undefined, level: Level, event: string, fields: Fields): string {
  const words = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${quoted(String(value))}`],
  );
  return [...(time === undefined ? [] : [time]), level, event, ...words].join(' ');
}

/** As it is when it is one word; otherwise as a JSON string, so that a line stays a line. */
const quoted = (text: string): string => (/^[!#-<>-~]+$/.test(text) ? text : jsonOf(text));

/** JSON in which nothing moves a terminal's cursor or turns its text round: what servers say is in the log, too. */
const jsonOf = (value: unknown): string =>
  JSON.stringify(value).replace(UNPRINTABLE, (character) => character.split('').map(escaped).join(''));

/** A UTF-16 code unit as JSON writes it. */
const escaped = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** Writes the log: one line per event, as text or JSON, with a limit per event. */
import { LEVELS, type Level } from '../model/level.ts';
import { UNPRINTABLE } from '../model/unprintable.ts';
import type { Events } from '../web/events.ts';
import { withPriority } from './journal.ts';

export type Fields = Readonly<Record<string, string | number | boolean | undefined>>;
export type Log = (level: Level, event: string, fields?: Fields) => void;
export type LogFormat = 'text' | 'json';

/**
 * Maximum number of lines of one event in a window. Events of destinations have a higher limit, because many destinations
 * can change at once. Further lines are suppressed; the next line of the event has their number.
 */
const MAX_LINES = 50;
const MAX_DESTINATION_LINES = 1000;
const WINDOW_MS = 10_000;

export interface LogOptions {
  readonly format: LogFormat;
  /** Minimum level to log; default info. */
  readonly level?: Level;
  /** Whether the lines are sent to the journal of systemd, which adds the time and takes the level as a priority. */
  readonly isJournal?: boolean;
  /** Receives whole lines; default: standard error. */
  readonly write?: (line: string) => void;
  /** The wall clock. */
  readonly now?: () => Date;
}

/** Returns a log that writes lines of the given format. */
export function createLog(options: LogOptions): Log {
  const { format, level: minimum = 'info', now = () => new Date() } = options;
  const { write = (line: string) => process.stderr.write(line), isJournal = false } = options;
  const line = format === 'json' ? jsonLine : textLine;
  return (level, event, fields = {}) => {
    if (LEVELS.indexOf(level) < LEVELS.indexOf(minimum)) return;
    const text = line(isJournal ? undefined : now().toISOString(), level, event, fields);
    write(`${isJournal ? withPriority(level, text) : text}\n`);
  };
}

/** Returns `log` with a limit per event. `now`: ms of any clock. */
export function limitedLog(log: Log, now: () => number = Date.now): Log {
  const limit = rateLimit();
  return (level, event, fields = {}) => {
    const max = fields['destination'] === undefined ? MAX_LINES : MAX_DESTINATION_LINES;
    const suppressed = limit(event, max, now());
    if (suppressed >= 0) log(level, event, suppressed > 0 ? { ...fields, suppressed } : fields);
  };
}

/** Returns a function that returns the number of suppressed lines before this one; -1: this one is suppressed, too. */
function rateLimit(): (event: string, max: number, now: number) => number {
  const windows = new Map<string, { from: number; lines: number; suppressed: number }>();
  return (event, max, now) => {
    const window = windows.get(event) ?? { from: now, lines: 0, suppressed: 0 };
    windows.set(event, window);
    if (now - window.from >= WINDOW_MS || now < window.from) {
      window.from = now;
      window.lines = 0;
    }
    if (window.lines >= max) {
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

/** Returns a single word unchanged, and other text as a JSON string, so that each event is one line. */
const quoted = (text: string): string => (/^[!#-<>-~]+$/.test(text) ? text : jsonOf(text));

/** Returns JSON without characters that move the cursor or reverse text: the log contains text from servers. */
const jsonOf = (value: unknown): string =>
  JSON.stringify(value).replace(UNPRINTABLE, (character) => character.split('').map(escaped).join(''));

/** Returns the JSON escape of a UTF-16 code unit. */
const escaped = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** Returns `log`, which also records each event for the web interface. */
export function recordedLog(log: Log, events: Events): Log {
  return (level, event, fields = {}) => {
    log(level, event, fields);
    events.add(new Date(), level, event, fields);
  };
}

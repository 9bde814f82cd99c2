/** One line an event, for people or for machines. */

export type Level = 'info' | 'warning' | 'error';
export type Fields = Readonly<Record<string, string | number | boolean | undefined>>;
export type Log = (level: Level, event: string, fields?: Fields) => void;
export type LogFormat = 'text' | 'json';

/** `write` gets whole lines; `now` is the wall clock. */
export function createLog(
  format: LogFormat,
  write: (line: string) => void = (line) => process.stderr.write(line),
  now: () => Date = () => new Date(),
): Log {
  const line = format === 'json' ? jsonLine : textLine;
  return (level, event, fields = {}) => write(`${line(now().toISOString(), level, event, fields)}\n`);
}

const jsonLine = (time: string, level: Level, event: string, fields: Fields): string =>
  JSON.stringify({ time, level, event, ...fields });

function textLine(time: string, level: Level, event: string, fields: Fields): string {
  const words = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${quoted(String(value))}`],
  );
  return [time, level, event, ...words].join(' ');
}

/** As it is when it is one word; otherwise as a JSON string, so that a line stays a line. */
const quoted = (text: string): string => (/^[!#-<>-~]+$/.test(text) ? text : JSON.stringify(text));

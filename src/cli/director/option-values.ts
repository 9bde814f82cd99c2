/** Parses values of options of lvs-director. Each throws InvalidArgumentError for an invalid value. */
import { InvalidArgumentError } from 'commander';
import { MAX_CONNECTIONS } from '../../table/row-search.ts';

export function parseSeed(text: string): number {
  const seed = Number(text);
  if (!(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32))
    throw new InvalidArgumentError('Expected an integer from 0 to 4294967295.');
  return seed;
}

/** A director reads its file again at each reload, so it cannot be the standard input. */
export function configFile(path: string): string {
  if (path === '-') throw new InvalidArgumentError('Expected a file that can be read again.');
  return path;
}

/** Parses the number of rows of the connection table. */
export function parseConnections(text: string): number {
  const rows = Number(text);
  if (!(Number.isInteger(rows) && rows >= 1024 && rows <= MAX_CONNECTIONS))
    throw new InvalidArgumentError(`Expected an integer from 1024 to ${MAX_CONNECTIONS}.`);
  return rows;
}

export function parsePriority(text: string): number {
  const priority = Number(text);
  if (!(Number.isInteger(priority) && priority >= 0 && priority <= 255))
    throw new InvalidArgumentError('Expected an integer from 0 to 255.');
  return priority;
}

export function parseWhole(text: string): number {
  const number = Number(text);
  if (!(Number.isSafeInteger(number) && number > 0))
    throw new InvalidArgumentError('Expected an integer above 0.');
  return number;
}

const UNIT_SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 } as const;
/** Longest duration: one that a timer of Node.js can have. */
const MAX_DURATION_S = 24 * UNIT_SECONDS.d;

/** Returns the seconds of a duration such as 90, 90s, 5m, 1h or 2d. */
export function parseDuration(text: string): number {
  const match = /^(\d{1,7})([smhd]?)$/.exec(text);
  const unit = (match?.[2] || 's') as keyof typeof UNIT_SECONDS;
  const seconds = Number(match?.[1]) * UNIT_SECONDS[unit];
  if (!(seconds > 0 && seconds <= MAX_DURATION_S))
    throw new InvalidArgumentError('Expected a time above 0 and up to 24 days, such as 90s, 5m, 1h or 2d.');
  return seconds;
}

/** Parses values of options of lvs-director. Each throws InvalidArgumentError for an invalid value. */
import { InvalidArgumentError } from 'commander';
import { MAX_CONNECTIONS } from '../../table/rows.ts';

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

/** The servers that have joined, in a file beside the control socket: the next director goes on with them. */
import { readFileSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { SERVER_STATES } from '../../join/member.ts';
import type { Left } from '../../join/membership.ts';
import type { Placement } from '../../join/placement.ts';
import { isName } from '../../model/entity-name.ts';
import { JOINED_SOURCES } from '../../model/joined.ts';
import { replaceFile, replaceFileSync } from '../../sys/replace-file.ts';
import type { Log } from '../log.ts';

const OWNER_ONLY = 0o600;
const VERSION = 1;

export class JoinedRecord {
  readonly #path: string;
  readonly #log: Log;
  #hasFailed = false;
  /** Resolves when the record that is being written has been. */
  #written = Promise.resolve();

  /** `socket`: path of the control socket. */
  constructor(socket: string, log: Log) {
    this.#path = `${socket}.joined`;
    this.#log = log;
  }

  /** Returns what a director has written; a file that is no such record is logged and ignored: heartbeats fill the gap. */
  read(): readonly Left[] {
    try {
      const { version, placements } = JSON.parse(readFileSync(this.#path, 'utf8'));
      if (version === VERSION && Array.isArray(placements) && placements.every(isLeft)) return placements;
      throw new Error('invalid: expected what a director has written');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        this.#log('warning', 'joined-record-ignored', {
          error: `${this.#path}: ${(error as Error).message}`,
        });
      return [];
    }
  }

  /** Resolves when it is written. Never rejects: a failure costs servers their place at a restart. */
  write(placements: readonly Left[]): Promise<void> {
    this.#written = this.#written
      .then(() => this.#write(placements))
      .then(
        () => this.#report(undefined),
        (error: Error) => this.#report(error),
      );
    return this.#written;
  }

  /** Writes it at the end of the process. */
  writeNow(placements: readonly Left[]): void {
    try {
      if (placements.length === 0) rmSync(this.#path, { force: true });
      // Another write may not have ended.
      else replaceFileSync(this.#path, textOf(placements), { mode: OWNER_ONLY, next: `${this.#path}.last` });
    } catch (error) {
      this.#report(error as Error);
    }
  }

  async #write(placements: readonly Left[]): Promise<void> {
    if (placements.length === 0) return rm(this.#path, { force: true });
    await replaceFile(this.#path, textOf(placements), OWNER_ONLY);
  }

  #report(error: Error | undefined): void {
    if (error && !this.#hasFailed)
      this.#log('error', 'joined-record-failed', {
        error: `${this.#path}: ${error.message}`,
        effect: 'the next director learns of servers by their heartbeats only',
      });
    this.#hasFailed = error !== undefined;
  }
}

/** Returns what the next director has to know of a placement. `ahead`: ms by which the system's clock is ahead of that of placements. */
export const leftOf = (
  { server: { name, run, state, source }, end, stateSince, ...placement }: Placement,
  ahead: number,
): Left => {
  const { service, destination, options, weight, applied } = placement;
  return {
    ...{ server: name, run, state, source, service, destination, options, weight, applied },
    stateSince: stateSince + ahead,
    end: end && { earliest: end.earliest + ahead, latest: end.latest + ahead },
  };
};

const textOf = (placements: readonly Left[]): string =>
  `${JSON.stringify({ version: VERSION, placements })}\n`;

function isLeft(value: unknown): value is Left {
  if (typeof value !== 'object' || value === null) return false;
  const { server, run, state, source, stateSince, service, destination, options, weight } = value as Record<
    string,
    unknown
  >;
  const isObject = (each: unknown) => typeof each === 'object' && each !== null;
  return (
    isName(String(server)) &&
    typeof run === 'string' &&
    SERVER_STATES.some((each) => each === state) &&
    (source === undefined || JOINED_SOURCES.some((each) => each === source)) &&
    (stateSince === undefined || Number.isFinite(stateSince)) &&
    Number.isInteger(weight) &&
    [service, destination, options].every(isObject)
  );
}

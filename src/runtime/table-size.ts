/** The size of the connection table: what the operator asks for, or what the host's memory allows. */
import { totalmem } from 'node:os';
import { LvsError } from '../model/errors.ts';
import type { Log } from './log.ts';

/** Bytes of a connection in the table, its timer included. */
export const CONNECTION_BYTES = 144;
/** Connections by default, where this share of the memory is enough for them. */
const DEFAULT_CONNECTIONS = 1_048_576;
const DEFAULT_SHARE = 1 / 16;
/** Fewest connections: with less memory there is no table. */
export const FEWEST_CONNECTIONS = 1024;

/** Returns the bytes of memory that this process may use: those of the host, or of its control group. */
export function availableMemory(): number {
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(totalmem(), constrained) : totalmem();
}

/** Returns the default number of connections with so many bytes of memory. */
export function defaultConnections(memory: number): number {
  const affordable = Math.floor((memory * DEFAULT_SHARE) / CONNECTION_BYTES);
  return Math.max(FEWEST_CONNECTIONS, Math.min(DEFAULT_CONNECTIONS, affordable));
}

/**
 * Returns what `make` makes for `connections` connections, or for half, a quarter and so on where memory is short, and logs
 * the number. Throws an LvsError where there is not enough for FEWEST_CONNECTIONS.
 */
export function withTable<T>(connections: number, log: Log, make: (connections: number) => T): T {
  for (let size = connections; ; size = Math.max(FEWEST_CONNECTIONS, Math.floor(size / 2))) {
    try {
      const made = make(size);
      if (size < connections) log('warning', 'table-smaller', { wanted: connections, connections: size });
      else log('info', 'table', { connections: size, bytes: size * CONNECTION_BYTES });
      return made;
    } catch (error) {
      if (!isShortage(error)) throw error;
      if (size <= FEWEST_CONNECTIONS)
        throw new LvsError(
          'UNAVAILABLE',
          `connection table: no memory for ${size} connections (free memory)`,
        );
    }
  }
}

/** Reports whether V8 or a system call reports short memory. */
const isShortage = (error: unknown): boolean =>
  error instanceof Error &&
  (error.message.includes('allocation failed') || ('code' in error && error.code === 'ENOMEM'));

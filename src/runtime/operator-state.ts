/** What operators have changed by commands, in a file beside the control socket: the next director goes on with it. */
import { readFileSync, renameSync, rmSync } from 'node:fs';
import type { DeniedByCommand } from '../model/access-list.ts';
import { LvsError } from '../model/errors.ts';
import { replaceFileSync } from '../sys/replace-file.ts';
import { parsePrefix } from '../wire/prefix.ts';
import type { Log } from './log.ts';

const OWNER_ONLY = 0o600;
const VERSION = 1;

export interface OperatorChanges {
  /** Servers that are drained: addresses, or addresses with ports. */
  readonly drained: readonly string[];
  readonly denied: readonly DeniedByCommand[];
  /** No VIP is announced to routers. */
  readonly isWithdrawn: boolean;
}

const NOTHING: OperatorChanges = { drained: [], denied: [], isWithdrawn: false };

export class OperatorState {
  readonly #path: string;
  #changes = NOTHING;

  constructor(socket: string) {
    this.#path = `${socket}.operator`;
  }

  get changes(): OperatorChanges {
    return this.#changes;
  }

  /**
   * Reads the file. A file that is no such state is set aside, and reported: throws LvsError CONFIG. The changes are
   * empty then.
   */
  read(): void {
    this.#changes = NOTHING;
    let text: string;
    try {
      text = readFileSync(this.#path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw new LvsError('CONFIG', `${this.#path}: ${(error as Error).message}`, { cause: error });
    }
    const changes = parse(text);
    if (changes) this.#changes = changes;
    else {
      const aside = `${this.#path}.invalid`;
      renameSync(this.#path, aside);
      throw new LvsError(
        'CONFIG',
        `${this.#path}: invalid: expected what a director has written (kept as ${aside})`,
      );
    }
  }

  /** Changes and writes parts. Throws LvsError IO if the file cannot be written; nothing is changed then. */
  change(parts: Partial<OperatorChanges>): void {
    const changes = { ...this.#changes, ...parts };
    try {
      if (Object.values(changes).every((part) => part === false || (part !== true && part.length === 0)))
        rmSync(this.#path, { force: true });
      else {
        const text = `${JSON.stringify({ version: VERSION, ...changes })}\n`;
        replaceFileSync(this.#path, text, { mode: OWNER_ONLY });
      }
    } catch (cause) {
      const { message } = cause as Error;
      throw new LvsError('IO', `${this.#path}: not written, nothing is changed: ${message}`, { cause });
    }
    this.#changes = changes;
  }
}

/** Reads the state of the director with a control socket. An invalid one is logged. */
export function openOperatorState(socket: string, log: Log): OperatorState {
  const state = new OperatorState(socket);
  try {
    state.read();
  } catch (error) {
    if (!(error instanceof LvsError)) throw error;
    log('error', 'operator-state-rejected', { error: error.message });
  }
  return state;
}

/** Returns the changes; undefined: the text is no such state. */
function parse(text: string): OperatorChanges | undefined {
  try {
    const { version, drained, denied = [], isWithdrawn = false } = JSON.parse(text);
    if (version !== VERSION || !isListOf(drained, isText) || !isListOf(denied, isDenied)) return undefined;
    return typeof isWithdrawn === 'boolean' ? { drained, denied, isWithdrawn } : undefined;
  } catch {
    return undefined;
  }
}

const isText = (value: unknown): value is string => typeof value === 'string';
const isDenied = (value: unknown): value is DeniedByCommand =>
  typeof value === 'object' &&
  value !== null &&
  'prefix' in value &&
  typeof parsePrefix(String(value.prefix)) !== 'string';
const isListOf = <T>(value: unknown, is: (item: unknown) => item is T): value is T[] =>
  Array.isArray(value) && value.every(is);

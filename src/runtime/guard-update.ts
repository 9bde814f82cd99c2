/** Keeps the host in step with the director's services: a command is done when the host respects it, too. */
import type { DirectorApi } from '../control/director-api.ts';
import type { Command } from '../model/command.ts';
import type { OwnedService } from './owned-packets.ts';

/** Updates the host: `added` are services and destinations that commands are about to add. */
export type UpdateHost = (added: readonly OwnedService[]) => Promise<void>;

/** Runs updates of the host one at a time; requests that come while one runs are merged into the next. */
export class GuardUpdates {
  readonly #update: UpdateHost;
  #running: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;
  #added: OwnedService[] = [];

  constructor(update: UpdateHost) {
    this.#update = update;
  }

  /** Resolves when an update that began after this call has ended. */
  request(added: readonly OwnedService[] = []): Promise<void> {
    this.#added.push(...added);
    this.#next ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#next = undefined;
        const all = this.#added;
        this.#added = [];
        this.#running = this.#update(all);
        return this.#running;
      });
    return this.#next;
  }
}

/**
 * Returns an API that updates the host with the director: before packets are added, so that the host refuses none of
 * them, and after others are removed.
 */
export function guardedApi(api: DirectorApi, updates: GuardUpdates): DirectorApi {
  return {
    ...api,
    async apply(commands) {
      const added = addedBy(commands);
      if (added.length > 0) await updates.request(added);
      const outcomes = await api.apply(commands);
      if (commands.some(mayRemove)) await updates.request();
      return outcomes;
    },
  };
}

function addedBy(commands: readonly Command[]): OwnedService[] {
  const added: OwnedService[] = [];
  for (const command of commands)
    if (command.op === 'add-service') added.push({ service: command.service, destinations: [] });
    else if (command.op === 'add-destination' || command.op === 'edit-destination') {
      const { service, destination, options } = command;
      added.push({ service, destinations: [{ ...destination, method: options.method }] });
    }
  return added;
}

/** Reports whether a command can make the host responsible for packets again, or for others by their mark. */
const mayRemove = ({ op }: Command): boolean =>
  op === 'delete-service' || op === 'delete-destination' || op === 'flush' || op === 'set-marks';

/** Updates the guard of the host for commands: a command completes when the guard reflects it, too. */
import { canonical } from '../../config/canonical-address.ts';
import type { DirectorApi } from '../../control/director-api.ts';
import type { Command } from '../../model/command.ts';
import type { OwnedPart } from '../../model/owned-packets.ts';
import type { ServiceAddress } from '../../model/service.ts';
import { Slice } from '../../model/slice.ts';
import type { PartName } from '../restart/owned-packets.ts';

/** What an update of the host takes into account. */
export interface HostRequest {
  /** Services and destinations that commands are about to add. */
  readonly added: readonly OwnedPart[];
  /** What commands have changed; `all`: anything. */
  readonly changed: readonly PartName[] | 'all';
}

/** Runs updates of the host one at a time; requests that come while one runs are merged into the next. */
export class GuardUpdates {
  readonly #update: (request: HostRequest) => Promise<void>;
  #running: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;
  #added: OwnedPart[] = [];
  #changed: PartName[] | 'all' = [];

  constructor(update: (request: HostRequest) => Promise<void>) {
    this.#update = update;
  }

  /** Resolves when an update that began after this call has ended. */
  request({ added = [], changed = [] }: Partial<HostRequest> = {}): Promise<void> {
    for (const part of added) this.#added.push(part);
    if (changed === 'all') this.#changed = 'all';
    else if (this.#changed !== 'all') for (const name of changed) this.#changed.push(name);
    this.#next ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#next = undefined;
        const all = { added: this.#added, changed: this.#changed };
        this.#added = [];
        this.#changed = [];
        this.#running = this.#update(all);
        return this.#running;
      });
    return this.#next;
  }
}

/**
 * Returns an API that updates the guard, too: before services or destinations are added, so that the host rejects none
 * of their packets, and after commands were executed. The work is proportional to the commands, not to what the director runs.
 */
export function guardedApi(api: DirectorApi, updates: GuardUpdates): DirectorApi {
  return {
    ...api,
    async apply(commands) {
      const added = await collected(commands, addedBy);
      if (added.length > 0) await updates.request({ added });
      const outcomes = await api.apply(commands);
      const changed = commands.some(({ op }) => op === 'flush')
        ? 'all'
        : await collected(commands, changedBy);
      if (changed.length > 0 || commands.some(({ op }) => op === 'set-marks'))
        await updates.request({ changed });
      return outcomes;
    },
  };
}

/** Resolves with what `of` finds in the commands. Works in slices. */
async function collected<T>(
  commands: readonly Command[],
  of: (command: Command) => readonly T[],
): Promise<T[]> {
  const slice = new Slice();
  const all: T[] = [];
  for (const command of commands) {
    for (const each of of(command)) all.push(each);
    if (slice.spent) await slice.next();
  }
  return all;
}

function addedBy(command: Command): OwnedPart[] {
  switch (command.op) {
    case 'add-service':
      return [{ service: canonicalService(command.service) }];
    case 'add-destination':
    case 'edit-destination': {
      const { address, port } = command.destination;
      const { method } = command.options;
      const destination = { address: canonical(address), port, method };
      return [{ service: canonicalService(command.service), destination }];
    }
    default:
      return [];
  }
}

function changedBy(command: Command): PartName[] {
  switch (command.op) {
    case 'add-service':
    case 'delete-service':
      return [{ service: canonicalService(command.service), isWhole: command.op === 'delete-service' }];
    case 'add-destination':
    case 'edit-destination':
    case 'delete-destination': {
      const { address, port } = command.destination;
      return [
        { service: canonicalService(command.service), destination: { address: canonical(address), port } },
      ];
    }
    default:
      return [];
  }
}

/** Returns the name that the director gives to the service: a part has one key. */
const canonicalService = (service: ServiceAddress): ServiceAddress =>
  'address' in service ? { ...service, address: canonical(service.address) } : service;

/**
 * Logs the effect of commands, and destinations that become overloaded: every change of a destination with its cause.
 */

import type { DirectorApi, Outcome } from '../control/director-api.ts';
import type { Command } from '../model/command.ts';
import type { Destination, DestinationAddress } from '../model/destination.ts';
import { formatDestination, formatService, protocolOfNumber } from '../model/naming.ts';
import type { ServiceAddress, VirtualService } from '../model/service.ts';
import { Slice } from '../model/slice.ts';
import { formatAddress, formatEndpoint } from '../wire/address.ts';
import type { Fields, Log } from './log.ts';

/** Returns an API that logs the changes made through it. `cause`: the user of the API. */
export function loggedApi(api: DirectorApi, cause: string, log: Log): DirectorApi {
  return {
    ...api,
    async apply(commands) {
      const outcomes = await api.apply(commands);
      await logChanges(commands, outcomes, cause, log);
      return outcomes;
    },
  };
}

/** Logs the commands that succeeded. Works in slices. */
export async function logChanges(
  commands: readonly Command[],
  outcomes: readonly Outcome[],
  cause: string,
  log: Log,
): Promise<void> {
  const slice = new Slice();
  for (const [i, command] of commands.entries()) {
    const change = outcomes[i] ? undefined : changeOf(command);
    if (change) log('info', change.event, { ...change.fields, cause });
    if (slice.spent) await slice.next();
  }
}

const DONE = { add: 'added', edit: 'edited', delete: 'removed' } as const;

function changeOf(command: Command): { readonly event: string; readonly fields: Fields } | undefined {
  switch (command.op) {
    case 'add-service':
    case 'edit-service': {
      const { scheduler } = command.options;
      return { event: eventOf(command.op), fields: { service: formatService(command.service), scheduler } };
    }
    case 'delete-service':
      return { event: eventOf(command.op), fields: { service: formatService(command.service) } };
    case 'add-destination':
    case 'edit-destination': {
      const { method, weight = 1 } = command.options;
      return { event: eventOf(command.op), fields: { ...namesOf(command), method, weight } };
    }
    case 'delete-destination':
      return { event: eventOf(command.op), fields: namesOf(command) };
    case 'flush':
      return { event: 'services-removed', fields: { service: 'all' } };
    case 'set':
      return { event: 'setting-changed', fields: { name: command.name, value: command.value } };
    case 'notify': {
      const { type, name, state, priority = 0 } = command.instance;
      const fields = { [type.toLowerCase()]: name, state, ...(priority > 0 && { priority }) };
      return { event: 'vrrp-state', fields };
    }
    case 'set-timeouts':
      return { event: 'timeouts-changed', fields: { ...command.timeouts } };
    default:
      return undefined;
  }
}

/** Returns `service-added` for `add-service`. */
function eventOf(op: `${keyof typeof DONE}-${'service' | 'destination'}`): string {
  const [verb, what] = op.split('-') as [keyof typeof DONE, string];
  return `${what}-${DONE[verb]}`;
}

interface Named {
  readonly service: ServiceAddress;
  readonly destination: DestinationAddress;
}

const namesOf = ({ service, destination }: Named): Fields => ({
  service: formatService(service),
  destination: formatDestination(destination),
});

/** Logs destinations that exceed their threshold, and those that no longer do. */
export class Overloads {
  #known = new Set<Destination>();

  /** Logs the differences since the last call. Call it once a second, not while a call works. Works in slices. */
  async update(services: Iterable<VirtualService>, log: Log): Promise<void> {
    const slice = new Slice();
    const now = new Set<Destination>();
    for (const service of services) {
      if (slice.spent) await slice.next();
      for (const destination of service.destinations) {
        if (destination.overloaded) now.add(destination);
        if (destination.overloaded === this.#known.has(destination)) continue;
        const { activeConnections, inactiveConnections } = destination;
        log(
          destination.overloaded ? 'warning' : 'info',
          `destination-${destination.overloaded ? 'overloaded' : 'relieved'}`,
          {
            service: serviceName(service),
            destination: formatEndpoint(destination.address, destination.port),
            cause: `${activeConnections + inactiveConnections} connections`,
          },
        );
      }
    }
    this.#known = now;
  }
}

const serviceName = ({ mark, family, protocol, address, port }: VirtualService): string =>
  formatService(
    mark !== 0
      ? { mark, family }
      : { protocol: protocolOfNumber(protocol)!, address: formatAddress(address), port },
  );

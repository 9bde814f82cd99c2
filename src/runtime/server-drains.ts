/** The servers that operators drain by command, in all services that have them. */
import type { Watch } from '../checks/watch.ts';
import type { DrainedServer } from '../control/operations-api.ts';
import { serviceKey } from '../director/administration.ts';
import type { Director } from '../director/director.ts';
import { LvsError } from '../model/errors.ts';
import { formatService } from '../model/naming.ts';
import type { ServiceAddress } from '../model/service.ts';
import { Slice } from '../model/slice.ts';
import { refusesUnavailable } from '../schedulers/scheduler.ts';
import { formatAddress, joinEndpoint, parseAddress } from '../wire/address.ts';
import type { Log } from './log.ts';
import type { OperatorState } from './operator-state.ts';
import { runningDestination } from './running-destination.ts';

export interface ServerDrainsOptions {
  readonly watch: Watch;
  readonly state: OperatorState;
  readonly director: Director;
  /** Returns the name of a service in outputs. */
  readonly nameOf?: (service: ServiceAddress) => string;
  /** Returns the address of a server that has a name, and any other text unchanged. */
  readonly addressOf?: (text: string) => string;
  /** ms. */
  readonly clock: () => number;
  readonly log: Log;
}

export class ServerDrains {
  readonly #options: ServerDrainsOptions;

  constructor(options: ServerDrainsOptions) {
    this.#options = options;
  }

  /** Drains what operators have drained before. Call it again when the rules of an earlier director are known. */
  restore(): void {
    const { watch, state, clock } = this.#options;
    for (const server of state.changes.drained) watch.drain(server, true, clock());
  }

  /** Throws LvsError: no service has the server, or the state cannot be written. */
  drain(text: string): Promise<DrainedServer> {
    const { watch, state, log } = this.#options;
    const server = this.#serverOf(text);
    if (!watch.drained.all.includes(server)) {
      if (watch.destinationsOf(server).next().done) throw this.#notFound(server);
      state.change({ drained: [...watch.drained.all, server] });
      watch.drain(server, true, this.#options.clock());
      log('info', 'server-drained', { server });
    }
    return this.#describe(server);
  }

  /** Ends the drain of a server, and those of its single ports. Throws LvsError: it is not drained. */
  undrain(text: string): Promise<DrainedServer> {
    const { watch, state, log, clock } = this.#options;
    const server = this.#serverOf(text);
    const ended = watch.drained.all.filter((each) => each === server || addressOf(each) === server);
    if (ended.length === 0) {
      const whole = watch.drained.all.find((each) => each === addressOf(server));
      const remedy = whole === undefined ? '' : `: ${whole} is, with all its ports (undrain ${whole})`;
      throw new LvsError('NO_SUCH_DESTINATION', `${server}: not drained${remedy}`);
    }
    state.change({ drained: watch.drained.all.filter((each) => !ended.includes(each)) });
    for (const each of ended) watch.drain(each, false, clock());
    log('info', 'server-undrained', { server });
    return this.#describe(server);
  }

  /** The drained servers; one that no service has now is drained when a service has it again. */
  async list(): Promise<readonly DrainedServer[]> {
    const servers: DrainedServer[] = [];
    for (const server of this.#options.watch.drained.all) servers.push(await this.#describe(server));
    return servers;
  }

  /** Works in slices. */
  async #describe(server: string): Promise<DrainedServer> {
    const { watch, director, nameOf = formatService } = this.#options;
    const { settings } = director.context;
    const services: string[] = [];
    const refusing: string[] = [];
    const numbers = new Set<number>();
    let [connections, inactive, templates] = [0, 0, 0];
    for (const { service, destination } of watch.destinationsOf(server)) {
      services.push(nameOf(service));
      const rule = director.context.services.get(serviceKey(service));
      const found = runningDestination(director, service, destination);
      if (!rule || !found) continue;
      if (refusesUnavailable(rule.options.scheduler, rule.options.schedulerFlags))
        refusing.push(nameOf(service));
      numbers.add(found.index);
      connections += found.activeConnections + found.inactiveConnections;
      inactive += found.inactiveConnections;
      // Others select the server, whatever its weight is.
      if (settings.expire_quiescent_template === 0) templates += found.persistentConnections;
    }
    // Rows of TIME_WAIT remain for two minutes.
    const closed = inactive > 0 ? await this.#closed(numbers) : 0;
    return { server, services, connections: Math.max(0, connections - closed), templates, refusing };
  }

  async #closed(destinations: ReadonlySet<number>): Promise<number> {
    const { director } = this.#options;
    const slice = new Slice();
    let closed = 0;
    for (let from = 0; from < director.places; from += PLACES_PER_PORTION) {
      closed += director.closed(destinations, from, from + PLACES_PER_PORTION);
      if (slice.spent) await slice.next();
    }
    return closed;
  }

  #serverOf(text: string): string {
    const { addressOf = (same) => same } = this.#options;
    return parseServer(addressOf(text));
  }

  #notFound(server: string): LvsError {
    const known = new Set<string>();
    for (const { destination } of this.#options.watch.destinations()) known.add(destination.address);
    const some = [...known].slice(0, MAX_SUGGESTED);
    const more = known.size > some.length ? ` and ${known.size - some.length} more` : '';
    const servers = known.size === 0 ? 'there are none' : `${some.join(' ')}${more}`;
    return new LvsError('NO_SUCH_DESTINATION', `${server}: no service has this server (servers: ${servers})`);
  }
}

/** Places of the connection table that are read without a pause: about 1 ms. */
const PLACES_PER_PORTION = 1 << 14;
/** Servers in an error message. */
const MAX_SUGGESTED = 10;

/** Returns the address of a server, without its port. */
function addressOf(server: string): string {
  const match = /^\[([^\]]+)\]:\d+$|^([^:]+):\d+$/.exec(server);
  return match?.[1] ?? match?.[2] ?? server;
}

const MAX_PORT = 0xffff;

/** Returns a server as destinations are named: `10.0.0.1`, `10.0.0.1:80`. Throws LvsError INVALID. */
function parseServer(text: string): string {
  const match = /^\[([^\]]+)\]:(\d{1,5})$|^([^:]+):(\d{1,5})$/.exec(text);
  const address = parseAddress(match?.[1] ?? match?.[3] ?? text);
  const port = match?.[2] ?? match?.[4];
  if (!address || Number(port ?? 0) > MAX_PORT)
    throw new LvsError(
      'INVALID',
      `${text}: invalid server: expected its name in lvs.yaml, or an address, such as 10.0.0.1 or 2001:db8::1, or one with a port, such as 10.0.0.1:80`,
    );
  const name = formatAddress(address);
  return port === undefined ? name : joinEndpoint(name, Number(port));
}

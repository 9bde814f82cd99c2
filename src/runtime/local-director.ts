/** The API of a director in the same process. It works in slices, so that packets are forwarded between them. */
import { type DirectorApi, type Outcome, sameService } from '../control/director-api.ts';
import { readHostFile } from '../host/host-file.ts';
import type { Command, SyncDaemon } from '../model/command.ts';
import { LvsError } from '../model/errors.ts';
import type { ServiceAddress } from '../model/service.ts';
import { Slice } from '../model/slice.ts';
import type { ConnectionSnapshot, ServiceSnapshot, Snapshot } from '../model/snapshot.ts';
import { SYNC_DEFAULTS } from '../model/sync-defaults.ts';

/** The part of a director that the API uses. Times are ms of the director's clock. */
export interface DirectorLike {
  apply(command: Command, now: number): void;
  /** Everything but the services. */
  summary(now: number): Omit<Snapshot, 'services'>;
  /** The names of the services at this moment. */
  serviceNames(): readonly ServiceAddress[];
  /** Copies of the services, each made when it is requested. */
  services(now: number): Iterable<ServiceSnapshot>;
  /** The number of places of the connection table. */
  readonly places: number;
  /** Copies of the connections in the places from `from` to `to`, exclusive. */
  connections(now: number, from: number, to: number): Iterable<ConnectionSnapshot>;
}

export interface LocalDirectorOptions {
  /** The director's clock. */
  readonly now: () => number;
  /** Returns the MTU of a network interface of the host, bytes; undefined: not found. */
  readonly mtu?: (name: string) => number | undefined;
  /** Changes a command immediately before it is applied; undefined: it needs no change of the director now. */
  readonly prepare?: (command: Command, now: number) => Command | undefined;
  /** Changes the copy of a service. */
  readonly complete?: (service: ServiceSnapshot, now: number) => ServiceSnapshot;
}

/** Minimum number of connections in a chunk that is not the last. */
const CONNECTIONS_PER_CHUNK = 1000;
/** Places of the connection table that are read without a pause; a full portion takes about 1 ms. */
const PLACES_PER_PORTION = 256;

/** Commands of different clients interleave; those of one call stay in order, and are done when it resolves. */
export function localApi(director: DirectorLike, options: LocalDirectorOptions): DirectorApi {
  const {
    now,
    mtu = interfaceMtu,
    prepare = (command) => command,
    complete = (service) => service,
  } = options;
  const apply = (command: Command): Outcome =>
    outcomeOf(() => {
      const at = now();
      const prepared = prepare(completed(command, mtu), at);
      if (prepared) director.apply(prepared, at);
    });
  /** Deletes the services that exist now, one by one. */
  const flush = async (slice: Slice): Promise<Outcome> => {
    for (const service of director.serviceNames()) {
      apply({ op: 'delete-service', service });
      if (slice.spent) await slice.next();
    }
    return undefined;
  };
  return {
    async apply(commands) {
      const outcomes: Outcome[] = [];
      const slice = new Slice();
      for (const [i, command] of commands.entries()) {
        outcomes.push(command.op === 'flush' ? await flush(slice) : apply(command));
        // A new service gets its first destination before the next packet arrives.
        const isEmpty = command.op === 'add-service' && commands[i + 1]?.op === 'add-destination';
        if (slice.spent && !isEmpty) await slice.next();
      }
      return outcomes;
    },
    async snapshot({ services: parts }) {
      const at = now();
      const slice = new Slice();
      const services: ServiceSnapshot[] = [];
      if (parts !== undefined)
        for (const each of director.services(at)) {
          if (parts === true || sameService(each.service, parts)) services.push(complete(each, at));
          if (slice.spent) await slice.next();
        }
      return { ...director.summary(now()), services };
    },
    async *connections() {
      let chunk: ConnectionSnapshot[] = [];
      const slice = new Slice();
      // Most places may be empty.
      for (let from = 0; from < director.places; from += PLACES_PER_PORTION) {
        for (const connection of director.connections(now(), from, from + PLACES_PER_PORTION))
          chunk.push(connection);
        if (slice.spent) await slice.next();
        if (chunk.length < CONNECTIONS_PER_CHUNK) continue;
        yield chunk;
        chunk = [];
        await slice.next();
      }
      if (chunk.length > 0) yield chunk;
    },
  };
}

function outcomeOf(doIt: () => void): Outcome {
  try {
    doIt();
    return undefined;
  } catch (error) {
    if (!(error instanceof LvsError)) throw error;
    return { code: error.code, message: error.message };
  }
}

/** Bytes of the IP and UDP headers in front of a sync message. */
const HEADER_BYTES = { 4: 28, 6: 48 } as const;
/** Bytes of the longest datagram with its headers. */
const MAX_DATAGRAM_BYTES = 65_535;
/** A master sends no longer packets than this, and a backup accepts at least these (ip_vs_sync.c, Linux 6.1). */
const ETHERNET_MTU = 1500;
/** Bytes of the shortest buffer of a backup (ip_vs_sync.c, Linux 6.1). */
const MIN_BACKUP_BYTES = 1024;

/** Returns a sync daemon with its defaults, which depend on its interface, as the kernel does; other commands unchanged. */
function completed(command: Command, mtu: (name: string) => number | undefined): Command {
  if (command.op !== 'start-daemon') return command;
  const { daemon } = command;
  const linkMtu = mtu(daemon.interface);
  if (linkMtu === undefined)
    throw new LvsError('NO_SUCH_DEVICE', `network interface ${daemon.interface}: not found`);
  const filled = { ...SYNC_DEFAULTS, ...daemon };
  return { op: command.op, daemon: { ...filled, maxLength: lengthOf(daemon, linkMtu, filled.group) } };
}

/** Returns the bytes of the longest message: as configured, within the bounds of role and family, or by the MTU. */
function lengthOf({ role, maxLength = 0 }: SyncDaemon, mtu: number, group: string): number {
  const headers = HEADER_BYTES[group.includes(':') ? 6 : 4];
  const most = MAX_DATAGRAM_BYTES - headers;
  if (maxLength > 0) return Math.min(Math.max(maxLength, role === 'backup' ? MIN_BACKUP_BYTES : 1), most);
  return role === 'master' ? ETHERNET_MTU - headers : Math.min(Math.max(mtu, ETHERNET_MTU) - headers, most);
}

/** Returns the MTU of an interface of this host, bytes; undefined: not found. */
export function interfaceMtu(name: string): number | undefined {
  if (!/^[^/\s]{1,15}$/.test(name) || name === '.' || name === '..') return undefined;
  try {
    return Number(readHostFile(`/sys/class/net/${name}/mtu`));
  } catch {
    return undefined;
  }
}

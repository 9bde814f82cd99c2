/** The door of a director in the same process: works in small turns, so that packets get theirs. */
import { readFileSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type DirectorDoor, type Outcome, sameService } from '../control/director-api.ts';
import type { Command, SyncDaemon } from '../model/command.ts';
import { LvsError } from '../model/errors.ts';
import type { ConnectionSnapshot, Snapshot } from '../model/snapshot.ts';

/** What a door needs of a director. Times are ms of the director's clock. */
export interface DirectorLike {
  apply(command: Command, now: number): void;
  snapshot(now: number): Snapshot;
  connections(now: number): Iterable<ConnectionSnapshot>;
}

export interface LocalDoorOptions {
  /** The director's clock. */
  readonly now: () => number;
  /** MTU of a network interface of the host, octets; undefined: there is none of that name. */
  readonly mtu?: (name: string) => number | undefined;
}

/** Connections in a chunk, and commands in a turn. */
const CHUNK = 1000;
const COMMANDS_PER_TURN = 200;

export function localDoor(director: DirectorLike, options: LocalDoorOptions): DirectorDoor {
  const { now, mtu = interfaceMtu } = options;
  return {
    async apply(commands) {
      const outcomes: Outcome[] = [];
      for (const [i, command] of commands.entries()) {
        if (i > 0 && i % COMMANDS_PER_TURN === 0) await nextTurn();
        outcomes.push(outcomeOf(() => director.apply(completed(command, mtu), now())));
      }
      return outcomes;
    },
    snapshot: async ({ services }) => {
      const snapshot = director.snapshot(now());
      if (services === true) return snapshot;
      const only = services && snapshot.services.filter((each) => sameService(each.service, services));
      return { ...snapshot, services: only ?? [] };
    },
    async *connections() {
      let chunk: ConnectionSnapshot[] = [];
      for (const connection of director.connections(now())) {
        chunk.push(connection);
        if (chunk.length < CHUNK) continue;
        yield chunk;
        chunk = [];
        await nextTurn();
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

const GROUP = '224.0.0.81';
const PORT = 8848;
const TTL = 1;
/** Octets of an IP and a UDP header in front of a sync message. */
const HEADERS = { 4: 28, 6: 48 } as const;
/** Octets of a whole datagram with its headers. */
const MAX_DATAGRAM = 65_535;
/** A master keeps to this MTU, so that older backups can read it, and no backup expects less (ip_vs_sync.c 6.1). */
const USUAL_MTU = 1500;
/** Octets that a backup must be able to take at least (ip_vs_sync.c 6.1). */
const LEAST_BACKUP = 1024;

/** A sync daemon with what was not given filled in from its interface, as the kernel does; other commands as they are. */
function completed(command: Command, mtu: (name: string) => number | undefined): Command {
  if (command.op !== 'start-daemon') return command;
  const { daemon } = command;
  const most = mtu(daemon.interface);
  if (most === undefined)
    throw new LvsError('NO_SUCH_DEVICE', `there is no network interface ${daemon.interface}`);
  const { group = GROUP, port = PORT, ttl = TTL } = daemon;
  return {
    op: command.op,
    daemon: { ...daemon, group, port, ttl, maxLength: lengthOf(daemon, most, group) },
  };
}

/** Octets of the longest message: what is asked for, as far as role and family allow, or by the interface's MTU. */
function lengthOf({ role, maxLength = 0 }: SyncDaemon, mtu: number, group: string): number {
  const headers = HEADERS[group.includes(':') ? 6 : 4];
  const most = MAX_DATAGRAM - headers;
  if (maxLength > 0) return Math.min(Math.max(maxLength, role === 'backup' ? LEAST_BACKUP : 1), most);
  return role === 'master' ? USUAL_MTU - headers : Math.min(Math.max(mtu, USUAL_MTU) - headers, most);
}

/** MTU of an interface of this host, octets; undefined: it has none of that name. */
export function interfaceMtu(name: string): number | undefined {
  if (!/^[^/\s]{1,15}$/.test(name) || name === '.' || name === '..') return undefined;
  try {
    return Number(readFileSync(`/sys/class/net/${name}/mtu`, 'utf8'));
  } catch {
    return undefined;
  }
}

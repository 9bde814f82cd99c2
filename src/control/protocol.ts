/** The protocol of the control socket: requests and answers as lines of JSON. */

import type { AnnouncementListing } from '../model/announcement.ts';
import type { CapturedPackets } from '../model/capture.ts';
import type { ClusterStatus } from '../model/cluster.ts';
import type { Command } from '../model/command.ts';
import { type ErrorCode, LvsError } from '../model/errors.ts';
import type { Explanation } from '../model/explanation.ts';
import type { JoinedPlace } from '../model/joined.ts';
import type { ServiceAddress } from '../model/service.ts';
import type { ConnectionSnapshot, ServiceSnapshot, Snapshot } from '../model/snapshot.ts';
import { isCommand, isDenyRequest, isServiceAddress } from './command-shape.ts';
import type { Configuration, Outcome, Reloaded, SnapshotParts } from './director-api.ts';
import type { DeniedClient, DenyListing, DenyRequest, DrainedServer } from './operations-api.ts';

/** Increased when a request or an answer changes its meaning. Both ends must have the same version. */
export const VERSION = 1;

/** Maximum length of a request, bytes. Parsing it delays packets by about 20 ms at most. */
export const MAX_REQUEST_BYTES = 256 * 1024;
/** Maximum length of a line of an answer, bytes. */
export const MAX_ANSWER_LINE_BYTES = 64 * 1024 * 1024;
/** Maximum length of a packet in base64, characters. */
const MAX_PACKET_CHARACTERS = 100_000;
/** Maximum length of the name of a server, characters. */
const MAX_NAME_CHARACTERS = 255;
/** Maximum number of commands in one request. */
export const MAX_COMMANDS = 10_000;

/** Requests without arguments. */
const PLAIN_REQUESTS = [
  'connections',
  'reload',
  'configured',
  'stop',
  'stop-keep',
  'drained',
  'denied',
  'announce',
  'withdraw',
  'announcements',
  'cluster',
  'joined',
] as const;
export type PlainRequest = (typeof PLAIN_REQUESTS)[number];

export type Request =
  | {
      readonly version: number;
      readonly ask: 'apply';
      readonly commands: readonly Command[];
      /** On this director alone, if it belongs to a cluster. */
      readonly isLocal?: boolean;
    }
  | { readonly version: number; readonly ask: 'snapshot'; readonly parts: SnapshotParts }
  | { readonly version: number; readonly ask: PlainRequest }
  /** `server`: an address, or an address and port. */
  | { readonly version: number; readonly ask: 'drain' | 'undrain'; readonly server: string }
  | { readonly version: number; readonly ask: 'deny'; readonly request: DenyRequest }
  | {
      readonly version: number;
      readonly ask: 'undeny';
      readonly request: Pick<DenyRequest, 'address' | 'service'>;
    }
  /** `octets`: an IP packet, base64. */
  | { readonly version: number; readonly ask: 'explain'; readonly octets: string }
  | { readonly version: number; readonly ask: 'capture'; readonly service: ServiceAddress };

/** A line of an answer. `end` is the last line of an answer; `error` is the last line of the connection. */
export type Answer =
  | { readonly outcomes: readonly (Outcome | null)[] }
  | { readonly snapshot: Omit<Snapshot, 'services'> }
  | { readonly services: readonly ServiceSnapshot[] }
  | { readonly connections: readonly ConnectionSnapshot[] }
  | { readonly reloaded: Reloaded }
  /** Name of the director in its network namespace. Without `keeps`, as from an earlier version, the request was fulfilled. */
  | { readonly stopping: string; readonly keeps?: boolean }
  | { readonly configured: Omit<Configuration, 'commands'> }
  | { readonly commands: readonly Command[] }
  | { readonly drained: readonly DrainedServer[] }
  | { readonly denied: DeniedClient }
  | { readonly denyListing: DenyListing }
  | { readonly announcements: AnnouncementListing }
  /** null: the director belongs to no cluster. */
  | { readonly cluster: ClusterStatus | null }
  | { readonly joined: readonly JoinedPlace[] }
  | { readonly explanation: Explanation }
  | { readonly captured: CapturedPackets }
  | { readonly error: { readonly code: ErrorCode; readonly message: string } }
  | { readonly end: true };

/** Returns the request on a line. Throws LvsError PROTOCOL. */
export function parseRequest(line: string): Request {
  const request: {
    version?: unknown;
    ask?: unknown;
    parts?: unknown;
    commands?: unknown;
    isLocal?: unknown;
    octets?: unknown;
    service?: unknown;
    server?: unknown;
    request?: unknown;
  } = parseObject(line);
  const { version, ask } = request;
  if (version !== VERSION)
    throw protocolError(
      `protocol version ${typeof version === 'number' ? version : '(missing)'}: not supported: expected ${VERSION} (use a client of the director's release)`,
    );
  const plain = PLAIN_REQUESTS.find((each) => each === ask);
  if (plain) return { version: VERSION, ask: plain };
  if (ask === 'drain' || ask === 'undrain') {
    const { server } = request;
    if (typeof server === 'string' && server.length <= MAX_NAME_CHARACTERS)
      return { version: VERSION, ask, server };
  }
  if (ask === 'snapshot') {
    const { parts } = request;
    if (isParts(parts)) return { version: VERSION, ask, parts };
  }
  if (ask === 'deny' || ask === 'undeny') {
    const { request: what } = request;
    if (isDenyRequest(what)) return { version: VERSION, ask, request: what };
  }
  if (ask === 'explain') {
    const { octets } = request;
    if (typeof octets === 'string' && octets.length <= MAX_PACKET_CHARACTERS)
      return { version: VERSION, ask, octets };
  }
  if (ask === 'capture') {
    const { service } = request;
    if (isServiceAddress(service)) return { version: VERSION, ask, service };
  }
  if (ask === 'apply') {
    const { commands, isLocal = false } = request;
    if (typeof isLocal !== 'boolean') throw protocolError('invalid isLocal: expected true or false');
    if (!Array.isArray(commands) || commands.length > MAX_COMMANDS)
      throw protocolError(`invalid commands: expected a list of at most ${MAX_COMMANDS}`);
    const wrong = commands.findIndex((command) => !isCommand(command));
    if (wrong >= 0) throw protocolError(`unknown command at index ${wrong}`);
    return { version: VERSION, ask, commands, isLocal };
  }
  throw protocolError('unknown or incomplete request');
}

function isParts(value: unknown): value is SnapshotParts {
  if (typeof value !== 'object' || value === null) return false;
  const services = 'services' in value ? value.services : undefined;
  return services === undefined || services === true || isServiceAddress(services);
}

/** Returns the object on a line. Throws LvsError PROTOCOL. */
export function parseObject(line: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new LvsError('PROTOCOL', 'invalid line: expected JSON', { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw protocolError('invalid line: expected a JSON object');
  return value as Record<string, unknown>;
}

/** Returns an LvsError PROTOCOL. */
export const protocolError = (message: string): LvsError => new LvsError('PROTOCOL', message);

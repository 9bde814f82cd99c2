/** What goes over the control socket: requests and answers as lines of JSON. */

import type { CapturedPackets } from '../model/capture.ts';
import type { Command } from '../model/command.ts';
import { type ErrorCode, LvsError } from '../model/errors.ts';
import type { Explanation } from '../model/explanation.ts';
import type { ServiceAddress } from '../model/service.ts';
import type { ConnectionSnapshot, ServiceSnapshot, Snapshot } from '../model/snapshot.ts';
import { isCommand, isServiceAddress } from './command-shape.ts';
import type { Configuration, Outcome, Reloaded, SnapshotParts } from './director-api.ts';

/** Raised when a request or an answer changes its meaning; both ends must have the same one. */
export const VERSION = 1;

/** Octets of a request's line. Packets wait while it is parsed: for some 20 ms at worst. */
export const MAX_REQUEST = 256 * 1024;
/** Octets of one line of an answer. */
export const MAX_ANSWER_LINE = 64 * 1024 * 1024;
/** Characters of the longest packet, in base64. */
const MAX_OCTETS = 100_000;
/** Commands in one request. */
export const MAX_COMMANDS = 10_000;

export type Request =
  | { readonly version: number; readonly ask: 'apply'; readonly commands: readonly Command[] }
  | { readonly version: number; readonly ask: 'snapshot'; readonly parts: SnapshotParts }
  | { readonly version: number; readonly ask: 'connections' | 'reload' | 'configured' }
  /** `octets`: an IP packet, base64. */
  | { readonly version: number; readonly ask: 'explain'; readonly octets: string }
  | { readonly version: number; readonly ask: 'capture'; readonly service: ServiceAddress };

/** One line of an answer. `end` is the last line of every answer; `error` is the last line at all. */
export type Answer =
  | { readonly outcomes: readonly (Outcome | null)[] }
  | { readonly snapshot: Omit<Snapshot, 'services'> }
  | { readonly services: readonly ServiceSnapshot[] }
  | { readonly connections: readonly ConnectionSnapshot[] }
  | { readonly reloaded: Reloaded }
  | { readonly configured: Omit<Configuration, 'commands'> }
  | { readonly commands: readonly Command[] }
  | { readonly explanation: Explanation }
  | { readonly captured: CapturedPackets }
  | { readonly error: { readonly code: ErrorCode; readonly message: string } }
  | { readonly end: true };

/** The request on a line. Throws an LvsError that says what is wrong with it. */
export function parseRequest(line: string): Request {
  const request: {
    version?: unknown;
    ask?: unknown;
    parts?: unknown;
    commands?: unknown;
    octets?: unknown;
    service?: unknown;
  } = parseObject(line);
  const { version, ask } = request;
  if (version !== VERSION)
    throw protocolError(
      `the director speaks version ${VERSION} of its protocol, not ${typeof version === 'number' ? version : 'what the request says'}`,
    );
  if (ask === 'connections' || ask === 'reload' || ask === 'configured') return { version: VERSION, ask };
  if (ask === 'snapshot') {
    const { parts } = request;
    if (isParts(parts)) return { version: VERSION, ask, parts };
  }
  if (ask === 'explain') {
    const { octets } = request;
    if (typeof octets === 'string' && octets.length <= MAX_OCTETS) return { version: VERSION, ask, octets };
  }
  if (ask === 'capture') {
    const { service } = request;
    if (isServiceAddress(service)) return { version: VERSION, ask, service };
  }
  if (ask === 'apply') {
    const { commands } = request;
    if (!Array.isArray(commands) || commands.length > MAX_COMMANDS)
      throw protocolError(`commands: a list of at most ${MAX_COMMANDS}`);
    const wrong = commands.findIndex((command) => !isCommand(command));
    if (wrong >= 0) throw protocolError(`command ${wrong} of the request is none that the director knows`);
    return { version: VERSION, ask, commands };
  }
  throw protocolError('no request that the director knows');
}

function isParts(value: unknown): value is SnapshotParts {
  if (typeof value !== 'object' || value === null) return false;
  const services = 'services' in value ? value.services : undefined;
  return services === undefined || services === true || isServiceAddress(services);
}

/** A line as an object. Throws an LvsError. */
export function parseObject(line: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new LvsError('PROTOCOL', 'a line that is not JSON', { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw protocolError('a line that is not an object');
  return value as Record<string, unknown>;
}

export const protocolError = (message: string): LvsError => new LvsError('PROTOCOL', message);

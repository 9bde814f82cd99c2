/** Formats the state of a director as JSON: the document of /api/v1/snapshot, and its schema. */
import { CHECK_TYPES } from '../model/check.ts';
import { GENERATION_SOURCES } from '../model/cluster.ts';
import { JOINED_STATES } from '../model/joined.ts';
import { Slice } from '../model/slice.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { Surroundings } from '../model/surroundings.ts';
import { VRRP_STATES, VRRP_TYPES } from '../model/vrrp.ts';
import type { LogEvent } from './events.ts';
import { degradation, notReady, type Observed } from './observed.ts';

/** Increased when a field changes its meaning or is removed; not for a new field. */
export const API_VERSION = 1;

/** The document of /api/v1/snapshot. */
export interface SnapshotDocument extends Snapshot {
  readonly version: typeof API_VERSION;
  /** ISO 8601. */
  readonly time: string;
  readonly ready: boolean;
  /** The reason why the director is not ready. */
  readonly notReady?: string;
  /** The conditions that impair a ready director. */
  readonly degraded?: string;
  readonly surroundings: Surroundings;
  /** Newest last. */
  readonly events: readonly LogEvent[];
}

function documentOf(observed: Observed): Omit<SnapshotDocument, 'services' | 'events'> {
  const surroundings = observed.surroundings();
  const summary = observed.summary();
  const why = notReady(observed.availability(), surroundings);
  const limit = degradation(surroundings);
  return {
    version: API_VERSION,
    time: observed.now().toISOString(),
    ready: why === undefined,
    ...(why !== undefined && { notReady: why }),
    ...(limit !== undefined && { degraded: limit }),
    surroundings,
    ...summary,
  };
}

/** Returns the data of an event named `summary`: everything but services and events. */
export const summaryDocument = documentOf;

/** Resolves with the document of /api/v1/snapshot as JSON text in parts. Works in slices. */
export async function snapshotText(observed: Observed): Promise<string[]> {
  const slice = new Slice();
  const document = JSON.stringify(documentOf(observed));
  const parts = [`${document.slice(0, -1)},"services":[`];
  let separator = '';
  for (const service of observed.services()) {
    parts.push(separator + JSON.stringify(service));
    separator = ',';
    if (slice.spent) await slice.next();
  }
  parts.push(`],"events":${JSON.stringify(observed.events.latest)}}\n`);
  return parts;
}

const integer = { type: 'integer', minimum: 0 } as const;
const number = { type: 'number', minimum: 0 } as const;
const string = { type: 'string' } as const;
const boolean = { type: 'boolean' } as const;
const name = { ...string, description: 'in the configuration' } as const;
const position = { ...integer, description: 'in the list of the configuration' } as const;
const memberState = { enum: ['active', 'paused', 'evicted', 'left'] } as const;
const counts = { type: 'object', additionalProperties: integer } as const;

/** Returns the schema of an object. All properties are required except `optional`. */
const object = (properties: Record<string, object>, optional: readonly string[] = []) => ({
  type: 'object',
  properties,
  required: Object.keys(properties).filter((name) => !optional.includes(name)),
  additionalProperties: false,
});
const list = (items: object) => ({ type: 'array', items });
const ref = (name: string) => ({ $ref: `#/$defs/${name}` });

/** Properties of a summary. A snapshot also has services and events. */
const summary = {
  version: { const: API_VERSION },
  time: { ...string, description: 'ISO 8601' },
  ready: boolean,
  notReady: { ...string, description: 'reason why the director is not ready' },
  degraded: { ...string, description: 'conditions that impair a ready director' },
  surroundings: ref('surroundings'),
  stats: ref('traffic'),
  rates: ref('traffic'),
  timeouts: object({ tcp: integer, tcpFin: integer, udp: integer }),
  settings: counts,
  daemons: list({ type: 'object' }),
  vrrp: {
    ...list(
      object({ type: { enum: VRRP_TYPES }, name: string, state: { enum: VRRP_STATES }, priority: integer }, [
        'priority',
      ]),
    ),
    description: 'VRRP instances and groups, as keepalived reported them',
  },
  table: object({
    connections: integer,
    capacity: integer,
    octets: integer,
    highest: integer,
    longestProbe: integer,
  }),
  drops: { ...counts, description: 'packets, by reason' },
  counts: { ...counts, description: 'events since the start' },
  sync: { ...counts, description: 'messages and connections of the sync daemons since the start' },
};
const OPTIONAL = ['notReady', 'degraded', 'sync'];

/** JSON Schema (2020-12) of SnapshotDocument. Its $defs `summary` and `event` describe the data of the event stream. */
export const SNAPSHOT_SCHEMA = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'GET /api/v1/snapshot of lvs-director',
  ...object({ ...summary, services: list(ref('service')), events: list(ref('event')) }, OPTIONAL),
  $defs: {
    summary: object(summary, OPTIONAL),
    traffic: object({
      connections: number,
      inPackets: number,
      outPackets: number,
      inOctets: number,
      outOctets: number,
    }),
    service: object(
      {
        service: {
          oneOf: [
            object({ protocol: { enum: ['tcp', 'udp', 'sctp'] }, address: string, port: integer }),
            object({ mark: integer, family: { enum: [4, 6] } }),
          ],
        },
        name,
        position,
        options: { type: 'object', required: ['scheduler'], properties: { scheduler: string } },
        stats: ref('traffic'),
        rates: ref('traffic'),
        admission: { ...string, description: 'kernel, or why the process admits new connections' },
        destinations: list(ref('destination')),
        quorum: object({ quorum: integer, hysteresis: integer, weight: integer, lost: boolean }),
      },
      ['name', 'position', 'admission', 'quorum'],
    ),
    destination: object(
      {
        address: string,
        port: integer,
        name,
        position,
        method: { enum: ['nat', 'dr', 'tunnel'] },
        tunnel: { type: 'object' },
        weight: integer,
        upperThreshold: integer,
        lowerThreshold: integer,
        activeConnections: integer,
        inactiveConnections: integer,
        persistentConnections: integer,
        overloaded: boolean,
        configuredWeight: { ...integer, description: 'if the weight differs from it, without a check' },
        sorry: { ...boolean, description: 'used while the quorum is lost' },
        removed: { ...boolean, description: 'not in the rules now' },
        drained: { ...boolean, description: 'its server was drained by a command' },
        joined: object({
          server: { ...string, description: 'the name of the server, which joined by heartbeats' },
          state: { enum: JOINED_STATES },
          weight: { ...integer, description: 'as announced' },
        }),
        check: ref('check'),
        stats: ref('traffic'),
        rates: ref('traffic'),
      },
      ['name', 'position', 'check', 'configuredWeight', 'sorry', 'removed', 'drained', 'joined'],
    ),
    check: object({
      type: { enum: CHECK_TYPES },
      state: { enum: ['up', 'growing', 'down', 'drained'] },
      since: { ...integer, description: 'seconds' },
      message: { ...string, description: 'result of the last check' },
      weight: { ...integer, description: 'as configured' },
    }),
    surroundings: object(
      {
        version: string,
        node: string,
        uptime: { ...number, description: 'seconds' },
        datapath: string,
        running: boolean,
        losses: counts,
        sendFailures: counts,
        eventLoopDelay: object({ mean: number, p99: number, max: number }),
        longestTurn: { ...number, description: 'seconds, within the last minute' },
        notify: object({ succeeded: integer, failed: integer, timedOut: integer, dropped: integer }),
        control: object({
          clients: integer,
          requests: integer,
          failed: integer,
          refused: integer,
          timedOut: integer,
          vanished: integer,
        }),
        access: object({ deny: integer, allow: integer, commanded: integer }),
        conditions: list(object({ name: string, text: string })),
        announcements: integer,
        offload: object({ upcalls: integer, forwarded: integer, admitted: integer, leftToDirector: counts }),
        routes: object(
          {
            isWithdrawn: { ...boolean, description: 'by a command' },
            vips: list(
              object(
                {
                  ...{ vip: string, isReady: boolean, isWanted: boolean, isAnnounced: boolean },
                  isSpare: { ...boolean, description: 'other directors of the cluster announce it' },
                },
                ['isAnnounced', 'isSpare'],
              ),
            ),
            held: { enum: ['paused', 'evicted'], description: 'by the cluster' },
            sessions: object({ established: integer, all: integer }),
            error: object({ kind: string, text: string }),
            errors: counts,
            changes: integer,
          },
          ['held', 'sessions', 'error', 'errors', 'changes'],
        ),
        cluster: object({
          name: string,
          node: string,
          state: memberState,
          isReachable: boolean,
          generation: { ...integer, description: 'in effect here' },
          source: { enum: [...GENERATION_SOURCES], description: 'where the generation in effect is from' },
          stored: { ...integer, description: 'that of etcd, as far as it is known' },
          nodes: list(object({ node: string, state: { enum: ['online', 'offline', 'paused', 'evicted'] } })),
          members: list(
            object(
              {
                node: string,
                instance: string,
                copy: { ...string, description: 'the same for all runs of a director' },
                state: memberState,
                generation: integer,
                isReady: boolean,
                cannotAnnounce: { ...boolean, description: 'it announces no VIPs, whatever is ready' },
                version: string,
                addresses: list(string),
                since: string,
                rejected: object({ generation: integer, error: string }),
                announced: object({ count: integer, vips: list(string) }),
                load: object({ connections: integer, newConnections: integer, inOctets: integer }),
              },
              ['copy', 'cannotAnnounce', 'rejected', 'announced', 'load'],
            ),
          ),
          groups: list(
            object(
              { name: string, wanted: integer, holders: list(string), role: { enum: ['active', 'spare'] } },
              ['role'],
            ),
          ),
          events: list(object({ time: string, node: string, event: string, text: string })),
          errors: counts,
          invalidRecords: integer,
        }),
        join: object(
          {
            ...{ heartbeats: counts, refusals: counts, servers: counts, massLosses: integer },
            registered: { ...integer, description: 'servers whose keys etcd has' },
          },
          ['registered'],
        ),
        restart: object(
          {
            keeps: { ...boolean, description: 'the next director can take the connections over' },
            adopted: object({
              connections: integer,
              absence: { ...number, description: 'seconds without a director' },
              since: string,
            }),
          },
          ['adopted'],
        ),
      },
      ['offload', 'routes', 'cluster', 'join'],
    ),
    event: object({
      id: { type: 'integer', minimum: 1 },
      time: string,
      level: { enum: ['info', 'warning', 'error'] },
      event: string,
      fields: { type: 'object', additionalProperties: { type: ['string', 'number', 'boolean'] } },
    }),
  },
} as const;

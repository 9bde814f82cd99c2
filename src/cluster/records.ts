/** Values of a cluster in etcd, as JSON. Anything may be there: what is no such record is undefined. */
import { isIP } from 'node:net';
import type { ClusterMember, LogEntry, MemberState } from '../model/cluster.ts';

/** Version of the keys and values. */
export const SCHEMA = 1;
/** Maximum length of a configuration, bytes: etcd accepts requests of 1.5 MiB. */
export const MAX_CONFIG_BYTES = 1 << 20;
/** Maximum length of other values, bytes. */
const MAX_RECORD_BYTES = 16 << 10;
const MAX_TEXT_CHARACTERS = 4000;
/** VIPs that a member names. */
export const MAX_ANNOUNCED = 64;
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;
/** Group and place: numbers from 0 to 63, as the schema of lvs.yaml limits them. */
const SLOT = /^([A-Za-z0-9][A-Za-z0-9_.-]{0,62})\/([1-5]?\d|6[0-3])$/;

/** Reports whether a text can be the name of a cluster or of a director. */
export const isClusterName = (name: string): boolean => NAME.test(name);

/** Returns the group and the place of `GROUP/PLACE`; undefined: it is no such text. */
export function slotNameOf(text: string): { readonly group: string; readonly place: number } | undefined {
  const [, group, place] = SLOT.exec(text) ?? [];
  return group === undefined ? undefined : { group, place: Number(place) };
}

export interface Meta {
  readonly id: string;
  readonly schema: number;
  readonly created: string;
  /** SHA-256 of the secret in the token of the cluster, hexadecimal. */
  readonly tokenHash: string;
}

/** Which generation is to be in effect, and how it spreads. */
export interface ConfigPointer {
  readonly generation: number;
  /** SHA-256 of the text, hexadecimal. */
  readonly digest: string;
  readonly time: string;
  readonly author: string;
  /** Maximum number of directors that apply it at the same time; 0: all. */
  readonly atMost: number;
}

export interface Generation {
  readonly generation: number;
  readonly time: string;
  readonly author: string;
  readonly note: string;
  /** lvs.yaml. */
  readonly text: string;
}

export interface Proposal {
  readonly author: string;
  readonly text: string;
}

/** What a director answers to a proposal. */
export interface ProposalAnswer {
  readonly node: string;
  readonly error?: string;
  /** Numbers of changes, and of objects that would be removed when they are idle. */
  readonly changes: number;
  readonly draining: number;
  readonly warnings: readonly string[];
  readonly manualChanges: readonly string[];
  /** The first lines of the plan, how many follow, and connections of what changes. Missing: nothing, or another release. */
  readonly plan?: {
    readonly lines: readonly string[];
    readonly more: number;
    readonly connections: number;
  };
}

/** Who has paused, evicted or admitted a director, and when. */
export interface Note {
  readonly time: string;
  readonly author: string;
}

/** A director that announces a group of VIPs. */
export interface Slot {
  readonly node: string;
  /** Identifies the process. */
  readonly instance: string;
  /** The process has ended, and its kernel path forwards until the next one takes over. */
  readonly isKept: boolean;
  /** Identifies the VIPs of the group, when the director announces those that are ready; empty: not yet. */
  readonly announced: string;
}

export const metaOf = (value: Buffer): Meta | undefined =>
  record(value, (get) => ({
    id: get.text('id'),
    schema: get.whole('schema'),
    created: get.text('created'),
    tokenHash: get.text('tokenHash'),
  }));

export const pointerOf = (value: Buffer): ConfigPointer | undefined =>
  record(value, (get) => ({
    generation: get.whole('generation'),
    digest: get.text('digest'),
    time: get.text('time'),
    author: get.text('author'),
    atMost: get.whole('atMost'),
  }));

export const generationOf = (value: Buffer): Generation | undefined =>
  record(
    value,
    (get) => ({
      generation: get.whole('generation'),
      time: get.text('time'),
      author: get.text('author'),
      note: get.text('note'),
      text: get.text('text', MAX_CONFIG_BYTES),
    }),
    // Characters may be escaped in JSON.
    2 * MAX_CONFIG_BYTES,
  );

export const proposalOf = (value: Buffer): Proposal | undefined =>
  record(
    value,
    (get) => ({ author: get.text('author'), text: get.text('text', MAX_CONFIG_BYTES) }),
    2 * MAX_CONFIG_BYTES,
  );

export const answerOf = (value: Buffer): ProposalAnswer | undefined =>
  record(
    value,
    (get) => ({
      node: get.name('node'),
      ...get.optional('error', (key) => get.text(key, MAX_CONFIG_BYTES)),
      changes: get.whole('changes'),
      draining: get.whole('draining'),
      warnings: get.texts('warnings'),
      manualChanges: get.texts('manualChanges'),
      ...get.optional('plan', (key) =>
        get.inner(key, (inner) => ({
          lines: inner.texts('lines'),
          more: inner.whole('more'),
          connections: inner.whole('connections'),
        })),
      ),
    }),
    2 * MAX_CONFIG_BYTES,
  );

export const noteOf = (value: Buffer): Note | undefined =>
  record(value, (get) => ({ time: get.text('time'), author: get.text('author') }));

export const slotOf = (value: Buffer): Slot | undefined =>
  record(value, (get) => ({
    node: get.name('node'),
    instance: get.text('instance'),
    isKept: get.boolean('isKept'),
    announced: get.text('announced'),
  }));

export const logEntryOf = (value: Buffer): LogEntry | undefined =>
  record(value, (get) => ({
    time: get.text('time'),
    node: get.name('node'),
    event: get.text('event'),
    text: get.text('text'),
  }));

const STATES: readonly MemberState[] = ['active', 'paused', 'evicted', 'left'];

export const memberOf = (value: Buffer): ClusterMember | undefined =>
  record(value, (get) => ({
    node: get.name('node'),
    instance: get.text('instance'),
    ...get.optional('copy', (key) => get.text(key)),
    state: get.oneOf('state', STATES),
    generation: get.whole('generation'),
    isReady: get.boolean('isReady'),
    ...get.optional('cannotAnnounce', (key) => get.boolean(key)),
    version: get.text('version'),
    addresses: get.texts('addresses'),
    since: get.text('since'),
    ...get.optional('rejected', (key) =>
      get.inner(key, (inner) => ({ generation: inner.whole('generation'), error: inner.text('error') })),
    ),
    ...get.optional('announced', (key) =>
      get.inner(key, (inner) => ({ count: inner.whole('count'), vips: inner.vips('vips') })),
    ),
    ...get.optional('load', (key) =>
      get.inner(key, (inner) => ({
        connections: inner.whole('connections'),
        newConnections: inner.whole('newConnections'),
        inOctets: inner.whole('inOctets'),
      })),
    ),
  }));

/** Returns a text of at most the length that records may have. */
export const shortened = (text: string): string =>
  text.length <= MAX_TEXT_CHARACTERS ? text : `${text.slice(0, MAX_TEXT_CHARACTERS - 3)}...`;

class Invalid extends Error {}

function record<T>(value: Buffer, read: (get: Getter) => T, maxBytes = MAX_RECORD_BYTES): T | undefined {
  if (value.length > maxBytes) return undefined;
  try {
    return read(new Getter(JSON.parse(value.toString('utf8'))));
  } catch (error) {
    if (error instanceof Invalid || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Reads fields of an object, and throws Invalid for those of another type. */
class Getter {
  readonly #fields: Readonly<Record<string, unknown>>;

  constructor(value: unknown) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Invalid();
    this.#fields = value as Readonly<Record<string, unknown>>;
  }

  /** A text without control characters, but for those of configurations. */
  text(key: string, maxCharacters = MAX_TEXT_CHARACTERS): string {
    const value = this.#fields[key];
    if (typeof value !== 'string' || value.length > maxCharacters) throw new Invalid();
    return maxCharacters === MAX_TEXT_CHARACTERS ? value.replace(/[^\P{Cc}\n\t]/gu, '\uFFFD') : value;
  }

  name(key: string): string {
    const value = this.text(key);
    if (!isClusterName(value)) throw new Invalid();
    return value;
  }

  whole(key: string): number {
    const value = this.#fields[key];
    if (!Number.isSafeInteger(value) || (value as number) < 0) throw new Invalid();
    return value as number;
  }

  boolean(key: string): boolean {
    const value = this.#fields[key];
    if (typeof value !== 'boolean') throw new Invalid();
    return value;
  }

  texts(key: string): readonly string[] {
    const value = this.#fields[key];
    if (!Array.isArray(value)) throw new Invalid();
    return value.map((item) => new Getter({ item }).text('item'));
  }

  /** Distinct addresses, at most MAX_ANNOUNCED. */
  vips(key: string): readonly string[] {
    const values = this.texts(key);
    const isValid = values.length <= MAX_ANNOUNCED && values.every((value) => isIP(value) !== 0);
    if (!isValid || new Set(values).size < values.length) throw new Invalid();
    return values;
  }

  oneOf<T extends string>(key: string, choices: readonly T[]): T {
    const found = choices.find((choice) => choice === this.#fields[key]);
    if (found === undefined) throw new Invalid();
    return found;
  }

  inner<T>(key: string, read: (get: Getter) => T): T {
    return read(new Getter(this.#fields[key]));
  }

  optional<K extends string, T>(key: K, read: (key: K) => T): { [P in K]?: T } {
    return key in this.#fields ? ({ [key]: read(key) } as { [P in K]?: T }) : {};
  }
}

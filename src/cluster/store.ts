/** What operators do to a cluster in etcd. Each change is one transaction. */
import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import type { KeyValue } from '../etcd/answers.ts';
import type { EtcdClient } from '../etcd/client.ts';
import type { LogEntry } from '../model/cluster.ts';
import { LvsError } from '../model/errors.ts';
import type { Keys } from './keys.ts';
import {
  type ConfigPointer,
  type Generation,
  generationOf,
  logEntryOf,
  MAX_CONFIG_BYTES,
  type Meta,
  metaOf,
  pointerOf,
  SCHEMA,
} from './records.ts';
import { type ClusterView, viewOf } from './view.ts';

/** Generations that stay readable. */
const MAX_GENERATIONS = 50;
/** Attempts of a change that others overtake. */
const MAX_ATTEMPTS = 10;
const SECRET_BYTES = 24;
/** `ID.SECRET`. */
const TOKEN = /^([0-9a-f-]{36})\.([A-Za-z0-9_-]{32})$/;

/** Returns the SHA-256 of a text, hexadecimal. */
export const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex');

export interface NewConfig {
  readonly text: string;
  readonly author: string;
  readonly note: string;
  readonly atMost: number;
}

export class ClusterStore {
  readonly client: EtcdClient;
  readonly keys: Keys;
  readonly #name: string;

  /** `name`: of the cluster. */
  constructor(client: EtcdClient, keys: Keys, name: string) {
    this.client = client;
    this.keys = keys;
    this.#name = name;
  }

  /** Makes the cluster, and returns its token. Throws LvsError INVALID if it exists. */
  async init(): Promise<string> {
    const { client, keys } = this;
    const secret = randomBytes(SECRET_BYTES).toString('base64url');
    const id = randomUUID();
    const meta: Meta = { id, schema: SCHEMA, created: now(), tokenHash: digestOf(secret) };
    const put = [{ put: keys.meta, value: JSON.stringify(meta) }];
    const { succeeded, ranges } = await client.txn([{ key: keys.meta, modRevision: 0 }], put, [
      { range: keys.meta },
    ]);
    // A repeated request finds what the first one has written.
    const stored = ranges[0]?.values[0];
    if (!succeeded && (stored === undefined || metaOf(stored.value)?.id !== id))
      throw new LvsError('INVALID', `cluster ${this.#name}: already exists (use lvs-director cluster join)`);
    return `${id}.${secret}`;
  }

  /** Resolves with what the keys say now. Throws EtcdError, and LvsError if there is no such cluster. */
  async view(): Promise<ClusterView> {
    const { view } = await this.read();
    this.check(view.meta);
    return view;
  }

  /** Resolves with the keys under `state/`, and what they say, be it a cluster or not. Throws EtcdError. */
  async read(): Promise<{ readonly values: ReadonlyMap<string, KeyValue>; readonly view: ClusterView }> {
    const { client, keys } = this;
    const range = await client.range(keys.state, { isPrefix: true });
    const values = new Map(range.values.map((value) => [value.key, value]));
    return { values, view: viewOf(keys, values) };
  }

  /** Throws LvsError unless this is a cluster of this schema. */
  check(meta: Meta | undefined): Meta {
    if (!meta)
      throw new LvsError(
        'UNAVAILABLE',
        `cluster ${this.#name}: not found in etcd (lvs-director cluster init)`,
      );
    if (meta.schema !== SCHEMA)
      throw new LvsError(
        'UNAVAILABLE',
        `cluster ${this.#name}: schema ${meta.schema}: expected ${SCHEMA} (use the same release on all directors)`,
      );
    return meta;
  }

  /** Admits a director, and resolves with the ID of the cluster. Throws LvsError INVALID for a wrong token. */
  async join(node: string, token: string, author: string): Promise<string> {
    const [, id, secret] = TOKEN.exec(token) ?? [];
    const meta = this.check((await this.view()).meta);
    const isRight =
      id === meta.id &&
      secret !== undefined &&
      timingSafeEqual(Buffer.from(digestOf(secret)), Buffer.from(meta.tokenHash.padEnd(64).slice(0, 64)));
    if (!isRight)
      throw new LvsError(
        'INVALID',
        `cluster ${this.#name}: invalid token: expected that of lvs-director cluster init`,
      );
    await this.client.txn(
      [],
      [{ put: this.keys.node(node), value: noteBy(author) }, { remove: this.keys.evicted(node) }],
    );
    return meta.id;
  }

  /** Forgets a director that does not run. Throws LvsError INVALID if it runs, or was not admitted. */
  async leave(node: string): Promise<void> {
    const { nodes, members } = await this.view();
    if (members.has(node))
      throw new LvsError('INVALID', `${node}: runs (stop it first, or use lvs-director cluster evict)`);
    this.#checkNode(node, nodes);
    const { keys } = this;
    await this.client.txn([], [{ remove: keys.node(node) }, { remove: keys.paused(node) }]);
  }

  /** Makes a director announce nothing until it is resumed, over restarts. Throws LvsError. */
  async pause(node: string, author: string): Promise<void> {
    this.#checkNode(node, (await this.view()).nodes);
    await this.client.put(this.keys.paused(node), noteBy(author));
  }

  /** Ends a pause. Throws LvsError INVALID if there is none. */
  async resume(node: string): Promise<void> {
    if (!(await this.view()).paused.has(node)) throw new LvsError('INVALID', `${node}: not paused`);
    await this.client.remove(this.keys.paused(node));
  }

  /** Excludes a director until it joins again. Throws LvsError. */
  async evict(node: string, author: string): Promise<void> {
    this.#checkNode(node, (await this.view()).nodes);
    const { keys } = this;
    await this.client.txn(
      [],
      [
        { put: keys.evicted(node), value: noteBy(author) },
        { remove: keys.node(node) },
        { remove: keys.paused(node) },
        { remove: keys.member(node) },
      ],
    );
  }

  #checkNode(node: string, nodes: ClusterView['nodes']): void {
    if (nodes.has(node)) return;
    const known = [...nodes.keys()].join(', ');
    throw new LvsError('INVALID', `${node}: not found: the cluster has ${known || 'no director'}`);
  }

  /**
   * Makes a text the next generation. Throws LvsError CONFIG if it is too long, and INVALID if `from` is given and is not the
   * present generation, because another change came first.
   */
  async apply({ text, author, note, atMost }: NewConfig, from?: number): Promise<ConfigPointer> {
    if (Buffer.byteLength(text) > MAX_CONFIG_BYTES)
      throw new LvsError('CONFIG', `configuration: longer than ${MAX_CONFIG_BYTES} bytes`);
    const { client, keys } = this;
    const id = randomUUID();
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const { values, view } = await this.read();
      this.check(view.meta);
      const stored = view.config?.generation ?? 0;
      if (from !== undefined && stored !== from)
        throw new LvsError('INVALID', `cluster ${this.#name}: generation is ${stored}: expected ${from}`);
      // A store that was restored from a backup may be behind its directors.
      const applied = [...view.members.values()].map(({ generation }) => generation);
      const generation = Math.max(stored, ...applied) + 1;
      const common = { generation, time: now(), author };
      const pointer: ConfigPointer = { ...common, digest: digestOf(text), atMost };
      const full: Generation = { ...common, note, text };
      const oldest = generation - MAX_GENERATIONS;
      const revision = values.get(keys.config)?.modRevision ?? 0;
      const { succeeded, ranges } = await client.txn(
        [{ key: keys.config, modRevision: revision }],
        [
          { put: keys.config, value: JSON.stringify({ ...pointer, id }) },
          { put: keys.generation(generation), value: JSON.stringify(full) },
          ...(oldest > 0 ? [{ remove: keys.generations, until: keys.generation(oldest + 1) }] : []),
        ],
        [{ range: keys.config }],
      );
      if (succeeded || isWrittenBy(id, ranges[0]?.values[0])) return pointer;
    }
    throw new LvsError(
      'UNAVAILABLE',
      `cluster ${this.#name}: other changes came first ${MAX_ATTEMPTS} times`,
    );
  }

  /** Resolves with the generation; undefined: etcd does not have it, or another value. */
  async generation(number: number): Promise<Generation | undefined> {
    const { values } = await this.client.range(this.keys.generation(number));
    return values[0] && generationOf(values[0].value);
  }

  /** Resolves with the number of the present generation; 0: there is none. */
  async present(): Promise<number> {
    const { values } = await this.client.range(this.keys.config);
    return (values[0] && pointerOf(values[0].value)?.generation) ?? 0;
  }

  /** Resolves with the last events, the oldest first. */
  async log(limit: number): Promise<readonly LogEntry[]> {
    const { values } = await this.client.range(this.keys.log, { isPrefix: true, isDescending: true, limit });
    return values.flatMap(({ value }) => logEntryOf(value) ?? []).reverse();
  }
}

const now = (): string => new Date().toISOString();
const noteBy = (author: string): string => JSON.stringify({ time: now(), author });

/** Reports whether a request that was repeated had been carried out before. */
function isWrittenBy(id: string, stored: KeyValue | undefined): boolean {
  return stored?.value.includes(`"id":"${id}"`) === true;
}

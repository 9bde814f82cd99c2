/**
 * Reads answers of the JSON gateway of etcd (api/etcdserverpb/rpc.proto, etcd 3.4). Numbers of 64 bits are texts, keys and values
 * base64, and a missing field is 0, false or empty. Anything else throws EtcdError.
 */
import { EtcdError } from './etcd-error.ts';

export interface KeyValue {
  readonly key: string;
  readonly value: Buffer;
  /** Revision of the change that made this value. */
  readonly modRevision: number;
  readonly createRevision: number;
}

export interface RangeAnswer {
  /** Revision of the store. */
  readonly revision: number;
  readonly values: readonly KeyValue[];
  /** Number of keys in the range, also of those that a limit left out. */
  readonly count: number;
}

export interface TxnAnswer {
  readonly revision: number;
  readonly succeeded: boolean;
  /** Results of the ranges among the operations, in their order. */
  readonly ranges: readonly RangeAnswer[];
}

/** A change of a key at a revision. `value` undefined: the key was removed. */
export interface Change {
  readonly key: string;
  readonly revision: number;
  readonly value: KeyValue | undefined;
}

export interface WatchAnswer {
  readonly changes: readonly Change[];
  /** Reason why etcd ended the watch. */
  readonly canceled?: string;
  /** The watch began before this revision, and etcd has no longer what changed until then. */
  readonly compacted?: number;
}

/** Returns base64. */
export const encoded = (text: string): string => Buffer.from(text).toString('base64');

/** Returns the end of the range of all keys that begin with `prefix`. */
export const endOfPrefix = (prefix: string): string =>
  prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);

export function rangeAnswer(body: unknown): RangeAnswer {
  const fields = fieldsOf(body);
  return {
    revision: fields['header'] === undefined ? 0 : revisionOf(fields),
    values: listOf(fields, 'kvs').map(keyValue),
    count: wholeOf(fields, 'count'),
  };
}

export function txnAnswer(body: unknown): TxnAnswer {
  const fields = fieldsOf(body);
  const ranges = listOf(fields, 'responses').flatMap((response) => {
    const range = fieldsOf(response)['response_range'];
    return range === undefined ? [] : [rangeAnswer(range)];
  });
  return { revision: revisionOf(fields), succeeded: fields['succeeded'] === true, ranges };
}

export function watchAnswer(body: unknown): WatchAnswer {
  const fields = fieldsOf(fieldsOf(body)['result']);
  const changes = listOf(fields, 'events').map((event): Change => {
    const { kv, type = 'PUT' } = fieldsOf(event);
    if (type !== 'PUT' && type !== 'DELETE') throw invalid('type of an event');
    const value = keyValue(kv);
    return { key: value.key, revision: value.modRevision, value: type === 'DELETE' ? undefined : value };
  });
  const compacted = wholeOf(fields, 'compact_revision');
  return {
    changes,
    ...(fields['canceled'] === true && { canceled: String(fields['cancel_reason'] ?? '') }),
    ...(compacted > 0 && { compacted }),
  };
}

/** Returns the ID of a lease. */
export function leaseAnswer(body: unknown): string {
  const { ID } = fieldsOf(body);
  if (typeof ID !== 'string' || !/^\d{1,20}$/.test(ID)) throw invalid('ID of a lease');
  return ID;
}

/** Returns the seconds that a lease has left; 0: it has expired. */
export const keepAliveAnswer = (body: unknown): number => wholeOf(fieldsOf(fieldsOf(body)['result']), 'TTL');

export function tokenAnswer(body: unknown): string {
  const { token } = fieldsOf(body);
  // It becomes a header.
  if (typeof token !== 'string' || !/^[\x21-\x7e]{1,4096}$/.test(token)) throw invalid('token');
  return token;
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(value: unknown): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid('object');
  return value as Fields;
}

function listOf(fields: Fields, key: string): readonly unknown[] {
  const value = fields[key];
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw invalid(key);
  return value;
}

/** int64 is a text in JSON (protobuf JSON mapping). */
function wholeOf(fields: Fields, key: string): number {
  const value = fields[key] ?? 0;
  const whole = typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : value;
  if (typeof whole !== 'number' || !Number.isSafeInteger(whole) || whole < 0) throw invalid(key);
  return whole;
}

const revisionOf = (fields: Fields): number => wholeOf(fieldsOf(fields['header']), 'revision');

function keyValue(value: unknown): KeyValue {
  const fields = fieldsOf(value);
  const { key, value: content = '' } = fields;
  if (typeof key !== 'string' || typeof content !== 'string') throw invalid('key or value');
  return {
    key: Buffer.from(key, 'base64').toString('utf8'),
    value: Buffer.from(content, 'base64'),
    modRevision: wholeOf(fields, 'mod_revision'),
    createRevision: wholeOf(fields, 'create_revision'),
  };
}

const invalid = (part: string): EtcdError =>
  new EtcdError('invalid-answer', `etcd: invalid answer: ${part}: expected that of the JSON gateway of etcd`);

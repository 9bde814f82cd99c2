/**
 * Takes what the keys of servers in etcd say. Uses no sockets. Only what etcd has answered counts: while it is silent, the keys
 * that `take` gets do not change, and no server is lost. Times are ms of one clock.
 */
import type { Announcement, MemberSink } from './member.ts';
import { serverRecordOf } from './server-record.ts';

/** An announcement is passed on again after this time: what was refused may be accepted now. */
const REPEAT_MS = 5000;

/** A value, and the revision that made it. */
export interface RegisteredValue {
  readonly value: Buffer;
  readonly modRevision: number;
}

interface Known {
  /** undefined: another process has known the server, and its key has not been read yet. */
  readonly modRevision: number | undefined;
  /** undefined: the value is no announcement. */
  readonly announcement: Announcement | undefined;
  readonly passed: number;
}

export class ServerRegistry {
  readonly #members: MemberSink;
  /** By the name of the server. */
  readonly #known = new Map<string, Known>();

  constructor(members: MemberSink) {
    this.#members = members;
  }

  /** Servers whose keys are announcements. */
  get size(): number {
    let size = 0;
    for (const { announcement } of this.#known.values()) if (announcement) size++;
    return size;
  }

  /** Expects the key of a server that another process has known: it is lost if etcd does not have it. */
  expect(node: string, now: number): void {
    this.#known.set(node, { modRevision: undefined, announcement: undefined, passed: now });
  }

  /** Takes all keys that etcd has now, by the names of servers. Returns the names whose values are no announcements. */
  take(values: ReadonlyMap<string, RegisteredValue>, now: number): readonly string[] {
    const invalid: string[] = [];
    for (const [node, { value, modRevision }] of values) {
      const known = this.#known.get(node);
      const isSame = known?.modRevision === modRevision;
      const announcement = isSame ? known.announcement : ofServer(node, value);
      if (!announcement) {
        invalid.push(node);
        // What was announced before remains.
        if (!isSame) this.#known.set(node, { modRevision, announcement, passed: now });
      } else if (!isSame || now - known.passed >= REPEAT_MS) {
        this.#known.set(node, { modRevision, announcement, passed: now });
        this.#members.announce({ ...announcement, source: 'etcd' }, now);
      }
    }
    for (const node of this.#known.keys())
      if (!values.has(node)) {
        this.#known.delete(node);
        this.#members.lose(node, now, 'etcd');
      }
    return invalid;
  }
}

function ofServer(node: string, value: Buffer): Announcement | undefined {
  const announcement = serverRecordOf(value);
  return announcement?.node === node ? announcement : undefined;
}

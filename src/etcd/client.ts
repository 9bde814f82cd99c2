/** A client of an etcd cluster over the JSON gateway: fails over between endpoints, and authenticates again when needed. */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  encoded,
  endOfPrefix,
  keepAliveAnswer,
  leaseAnswer,
  type RangeAnswer,
  rangeAnswer,
  type TxnAnswer,
  tokenAnswer,
  txnAnswer,
  type WatchAnswer,
  watchAnswer,
} from './answers.ts';
import { answerError, EtcdError, isAboutToken, isOfEndpoint } from './etcd-error.ts';
import { Gateway, type GatewayAnswer, type Tls } from './gateway.ts';

/** ms for which one endpoint may take to answer: an election takes about 1 s. */
const ANSWER_MS = 2500;
/** Requests go on for this number of times that one endpoint may take: a leader may be elected meanwhile. */
const MAX_ELECTION_TIMES = 2;
/** ms between two rounds over all endpoints. */
const ROUND_MS = 200;

export interface EtcdOptions {
  /** Such as https://192.0.2.1:2379. */
  readonly endpoints: readonly string[];
  readonly tls?: Tls;
  readonly user?: { readonly name: string; readonly password: string };
  /** ms for which one endpoint may take to answer. */
  readonly timeout?: number;
}

/** What to read: a key, or all keys that begin with it. */
export interface RangeOptions {
  readonly isPrefix?: boolean;
  readonly limit?: number;
  /** The newest first, by the order of keys. */
  readonly isDescending?: boolean;
  /** Only the key that was changed last, without its value. */
  readonly isLastChange?: boolean;
}

/** A condition on a key: its revision (0: the key does not exist). */
export interface Compare {
  readonly key: string;
  readonly modRevision: number;
}

export type Operation =
  | { readonly put: string; readonly value: string; readonly lease?: string }
  | {
      readonly remove: string;
      readonly isPrefix?: boolean /** First key that stays. */;
      readonly until?: string;
    }
  | { readonly range: string };

export class EtcdClient implements Disposable {
  readonly #gateways: readonly Gateway[];
  readonly #user: EtcdOptions['user'];
  readonly #timeout: number;
  /** Index of the endpoint that has answered last. */
  #current = 0;
  #token: string | undefined;

  constructor({ endpoints, tls, user, timeout = ANSWER_MS }: EtcdOptions) {
    this.#gateways = endpoints.map((url) => new Gateway(url, tls));
    this.#user = user;
    this.#timeout = timeout;
  }

  [Symbol.dispose](): void {
    for (const gateway of this.#gateways) gateway[Symbol.dispose]();
  }

  /** Resolves with the values at this moment, as a majority has them. Throws EtcdError, as all methods do. */
  async range(
    key: string,
    { isPrefix = false, limit, isDescending, isLastChange }: RangeOptions = {},
  ): Promise<RangeAnswer> {
    return rangeAnswer(
      await this.#ask('kv/range', {
        ...keysOf(key, isPrefix),
        ...(limit !== undefined && { limit }),
        ...(isDescending && { sort_order: 'DESCEND', sort_target: 'KEY' }),
        ...(isLastChange && { sort_order: 'DESCEND', sort_target: 'MOD', limit: 1, keys_only: true }),
      }),
    );
  }

  /**
   * Carries out `success` if all conditions hold, and otherwise `failure`. After an error of the connection the request is
   * repeated at another endpoint: it may have been carried out before.
   */
  async txn(
    compare: readonly Compare[],
    success: readonly Operation[],
    failure: readonly Operation[] = [],
  ): Promise<TxnAnswer> {
    const conditions = compare.map(({ key, modRevision }) => ({
      target: 'MOD',
      result: 'EQUAL',
      key: encoded(key),
      mod_revision: modRevision,
    }));
    const body = { compare: conditions, success: success.map(requestOf), failure: failure.map(requestOf) };
    return txnAnswer(await this.#ask('kv/txn', body));
  }

  async put(key: string, value: string, lease?: string): Promise<void> {
    await this.txn([], [{ put: key, value, ...(lease !== undefined && { lease }) }]);
  }

  async remove(key: string): Promise<void> {
    await this.txn([], [{ remove: key }]);
  }

  /** Resolves with the ID of a lease that ends after `seconds` unless it is kept alive. */
  async grantLease(seconds: number): Promise<string> {
    return leaseAnswer(await this.#ask('lease/grant', { TTL: seconds }));
  }

  /** Resolves with the seconds that the lease has left; 0: it has expired. */
  async keepAlive(lease: string): Promise<number> {
    return keepAliveAnswer(await this.#ask('lease/keepalive', { ID: lease }));
  }

  /** Ends a lease, and removes its keys. */
  async revokeLease(lease: string): Promise<void> {
    await this.#ask('lease/revoke', { ID: lease });
  }

  /**
   * Yields the changes of all keys that begin with `prefix` from `revision` on, until the signal aborts. Throws EtcdError
   * when the stream ends: `compacted` if changes are missing; otherwise watch again from the next revision.
   */
  async *watch(prefix: string, revision: number, signal: AbortSignal): AsyncGenerator<WatchAnswer> {
    const create_request = { ...keysOf(prefix, true), start_revision: revision };
    const gateway = this.#gateways[this.#current]!;
    try {
      const token = await this.#authenticated(gateway);
      const options = { timeout: this.#timeout, signal };
      for await (const answer of gateway.stream('watch', { create_request }, token, options)) {
        if (isAboutToken(answer.body)) this.#token = undefined;
        const watched = watchAnswer(this.#succeeded(gateway, answer));
        if (watched.compacted !== undefined)
          throw new EtcdError('compacted', `etcd ${gateway.name}: revision ${revision} is compacted`);
        if (watched.canceled !== undefined) {
          // After a change of users, etcd cancels with a text and nothing else.
          this.#token = undefined;
          throw new EtcdError('not-permitted', `etcd ${gateway.name}: watch canceled: ${watched.canceled}`);
        }
        yield watched;
      }
      if (!signal.aborted) throw new EtcdError('unreachable', `etcd ${gateway.name}: the watch ended`);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof EtcdError && isOfEndpoint(error)) this.#leave(gateway);
      throw error;
    }
  }

  /** Selects another endpoint, unless that was done already. */
  #leave(gateway: Gateway): void {
    const index = this.#gateways.indexOf(gateway);
    if (this.#current === index) this.#current = (index + 1) % this.#gateways.length;
  }

  /** Leaves the present endpoint: it answers, but lies behind. */
  leaveEndpoint(): void {
    this.#leave(this.#gateways[this.#current]!);
  }

  /** Asks one endpoint after the other until one answers, or no leader is elected in time. */
  async #ask(path: string, body: object): Promise<unknown> {
    let last: EtcdError | undefined;
    const begin = performance.now();
    for (let attempt = 1; ; attempt++) {
      const gateway = this.#gateways[this.#current]!;
      try {
        return await this.#askOne(gateway, path, body);
      } catch (error) {
        if (!(error instanceof EtcdError) || !isOfEndpoint(error)) throw error;
        // An endpoint without a quorum says more than one that does not run.
        if (last?.kind !== 'timeout') last = error;
        this.#leave(gateway);
        const isRoundOver = attempt % this.#gateways.length === 0;
        if (isRoundOver && performance.now() - begin >= MAX_ELECTION_TIMES * this.#timeout) throw last;
        // All may answer at once that a leader is being elected.
        if (isRoundOver) await sleep(ROUND_MS);
      }
    }
  }

  async #askOne(gateway: Gateway, path: string, body: object): Promise<unknown> {
    const token = await this.#authenticated(gateway);
    let answer = await gateway.post(path, body, token, this.#timeout);
    if (this.#user && isAboutToken(answer.body)) {
      // The token has expired, or its member was restarted.
      if (this.#token === token) this.#token = undefined;
      answer = await gateway.post(path, body, await this.#authenticated(gateway), this.#timeout);
    }
    return this.#succeeded(gateway, answer);
  }

  /** Resolves with the token; undefined: no user is configured. */
  async #authenticated(gateway: Gateway): Promise<string | undefined> {
    if (!this.#user) return undefined;
    if (this.#token === undefined) {
      const answer = await gateway.post('auth/authenticate', this.#user, undefined, this.#timeout);
      // An etcd without authentication needs no token, and has none.
      if (isAuthOff(answer)) return undefined;
      this.#token = tokenAnswer(this.#succeeded(gateway, answer));
    }
    return this.#token;
  }

  #succeeded(gateway: Gateway, { status, body }: GatewayAnswer): unknown {
    const isError =
      typeof body === 'string' || (typeof body === 'object' && body !== null && 'error' in body);
    if (status !== 200 || isError) throw answerError(gateway.name, status, body, this.#user?.name);
    return body;
  }
}

const isAuthOff = ({ status, body }: GatewayAnswer): boolean =>
  status !== 200 && JSON.stringify(body).includes('authentication is not enabled');

const keysOf = (key: string, isPrefix: boolean) => ({
  key: encoded(key),
  ...(isPrefix && { range_end: encoded(endOfPrefix(key)) }),
});

function requestOf(operation: Operation): object {
  if ('put' in operation) {
    const { put, value, lease } = operation;
    return {
      request_put: { key: encoded(put), value: encoded(value), ...(lease !== undefined && { lease }) },
    };
  }
  if ('range' in operation) return { request_range: keysOf(operation.range, false) };
  const { remove, isPrefix = false, until } = operation;
  const end = until === undefined ? {} : { range_end: encoded(until) };
  return { request_delete_range: { ...keysOf(remove, isPrefix), ...end } };
}

/** Counts what fails between a director and etcd, and since when. */
import type { EtcdError, EtcdErrorKind } from '../../etcd/etcd-error.ts';
import { LvsError } from '../../model/errors.ts';

export class EtcdHealth {
  readonly #errors: Partial<Record<EtcdErrorKind, number>> = {};
  #failing: { readonly since: number; readonly error: EtcdError } | undefined;

  /** Failed requests, by kind. */
  get errors(): Readonly<Record<string, number>> {
    return { ...this.#errors };
  }

  /** For how long etcd has failed, ms, and the last error; undefined: it answers. */
  get failing(): { readonly duration: number; readonly error: EtcdError } | undefined {
    const { since, error } = this.#failing ?? {};
    return error && { duration: performance.now() - since!, error };
  }

  /** Takes an error; undefined: a success. */
  readonly failed = (error: EtcdError | undefined): void => {
    if (!error) {
      this.#failing = undefined;
      return;
    }
    this.#count(error);
    this.#failing = { since: this.#failing?.since ?? performance.now(), error };
  };

  /** Takes an error of a request that etcd may refuse although others succeed: it is counted, and etcd may be well. */
  readonly refused = (error: EtcdError): void => {
    if (error.kind === 'unreachable' || error.kind === 'timeout') this.failed(error);
    else this.#count(error);
  };

  #count({ kind }: EtcdError): void {
    this.#errors[kind] = (this.#errors[kind] ?? 0) + 1;
  }

  /** Resolves with the result; undefined: etcd has failed, which is counted, or this host. */
  readonly tried = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof LvsError)) throw error;
      if ('kind' in error) this.failed(error as EtcdError);
      return undefined;
    }
  };
}

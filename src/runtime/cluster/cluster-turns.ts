/** Bounds how many directors apply a generation at the same time, and stops its spread when one rejects it. */

import type { Keys } from '../../cluster/keys.ts';
import type { EtcdClient } from '../../etcd/client.ts';

export class ClusterTurns {
  readonly #client: EtcdClient;
  readonly #keys: Keys;
  readonly #node: string;
  #held: { readonly generation: number; readonly key: string } | undefined;

  constructor(client: EtcdClient, keys: Keys, node: string) {
    this.#client = client;
    this.#keys = keys;
    this.#node = node;
  }

  /**
   * Takes one of `atMost` places (0: as many as there are directors); resolves with false if all are taken. `lease`: ends
   * with this director; undefined: it has none now.
   */
  async begin(generation: number, atMost: number, lease: string | undefined): Promise<boolean> {
    if (atMost === 0) return true;
    if (lease === undefined) return false;
    for (let place = 0; place < atMost; place++) {
      const key = this.#keys.turn(generation, place);
      const { succeeded, ranges } = await this.#client.txn(
        [
          { key, modRevision: 0 },
          { key: this.#keys.halt(generation), modRevision: 0 },
        ],
        [{ put: key, value: this.#node, lease }],
        [{ range: key }],
      );
      if (!succeeded && ranges[0]?.values[0]?.value.toString() !== this.#node) continue;
      this.#held = { generation, key };
      return true;
    }
    return false;
  }

  /** Leaves the place to another director; with `isRejected`, no other one begins. */
  async end(generation: number, isRejected: boolean): Promise<void> {
    const held = this.#held;
    if (held?.generation !== generation) return;
    this.#held = undefined;
    await this.#client.txn(
      [],
      [
        ...(isRejected ? [{ put: this.#keys.halt(generation), value: this.#node }] : []),
        { remove: held.key },
      ],
    );
  }
}

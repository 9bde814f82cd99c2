/** Reports that the process has no descriptors left, and serves fewer clients then, so that an operator is among them. */
import { areDescriptorsExhausted } from '../../sys/descriptor-reserve.ts';
import type { Conditions } from '../conditions.ts';

/** Clients of the control socket, and of the HTTP server, while no descriptors are left. */
const MAX_CLIENTS_WITHOUT_DESCRIPTORS = 8;
/** ms for which few clients are served after descriptors were free again: they would be used up at once otherwise. */
const RECOVERY_MS = 10_000;

export class DescriptorWatch {
  readonly #conditions: Conditions;
  readonly #clock: () => number;
  #exhaustedAt = Number.NEGATIVE_INFINITY;

  /** `clock`: ms, monotonic. */
  constructor(conditions: Conditions, clock: () => number) {
    this.#conditions = conditions;
    this.#clock = clock;
  }

  /** Looks for free descriptors. Call it once a second. */
  update(): void {
    if (areDescriptorsExhausted()) this.#exhaustedAt = this.#clock();
    const text = 'the process has no file descriptors left (see ulimit -n, LimitNOFILE= of systemd)';
    const found = this.#isRecent ? [['limit', { text, fields: {} }] as const] : [];
    this.#conditions.set('descriptors-exhausted', new Map(found));
  }

  /** Returns how many clients to serve of a server that could serve `usual`. */
  clients(usual: number): number {
    return this.#isRecent ? Math.min(usual, MAX_CLIENTS_WITHOUT_DESCRIPTORS) : usual;
  }

  get #isRecent(): boolean {
    return this.#clock() - this.#exhaustedAt <= RECOVERY_MS;
  }
}

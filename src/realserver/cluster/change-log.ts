/** Logs the changes of a cluster with their causes. */
import type { Say } from '../../model/level.ts';
import type { NlbCluster, NlbHost } from '../../model/nlb.ts';
import type { ConvergenceStatus } from '../../nlb/convergence-options.ts';
import { type HostState, sameEpoch, type View } from '../../nlb/heartbeat.ts';
import type { HeartbeatError } from '../../nlb/heartbeat-codec.ts';

/** ms between two lines about the same kind of failure. */
const REPEAT_MS = 60_000;
/** Senders of rejected datagrams that are named in that time: strangers can send from any number of addresses. */
const MAX_SENDERS = 20;

/** Why a host serves nothing, and the remedy. */
export const STATE_REASONS: Readonly<Record<Exclude<HostState, 'active'>, string>> = {
  muted: 'another host does not receive the heartbeats of this one (check the switch and the packet filter)',
  duplicate: 'another host has the same id (give each host another id, and start only one host with it)',
  mismatch: 'the other hosts have another configuration (copy the same file to all hosts)',
};

export class ChangeLog {
  readonly #cluster: NlbCluster;
  readonly #host: NlbHost;
  readonly #say: Say;
  #view: View | undefined;
  #state: HostState = 'active';
  readonly #saidAt = new Map<string, number>();
  readonly #senders = new Map<string, number>();

  constructor(cluster: NlbCluster, host: NlbHost, say: Say) {
    this.#cluster = cluster;
    this.#host = host;
    this.#say = say;
  }

  /** Logs what has changed since the last call. */
  observe({ state, view, isConverged }: ConvergenceStatus): void {
    if (state !== this.#state) {
      if (state === 'active') this.#say('cluster: this host takes part again');
      else this.#say(`cluster: this host serves nothing: ${STATE_REASONS[state]}`, 'error');
      this.#state = state;
    }
    if (!view && this.#view) {
      this.#say('cluster: this host has left, and joins again', 'warning');
      this.#view = undefined;
    }
    if (!view || !isConverged || sameEpoch(view.epoch, this.#view?.epoch)) return;
    const names = view.members.map(({ id }) => this.#nameOf(id)).join(', ');
    this.#say(`cluster: converged: members ${names} (${this.#cause(view)})`);
    this.#view = view;
  }

  /** Logs a datagram on the heartbeats' port that is none of this cluster. */
  rejected(reason: HeartbeatError, from: string): void {
    const hint = reason === 'unauthenticated' ? ' (another key, or another cluster with the same group)' : '';
    const now = performance.now();
    for (const [sender, at] of this.#senders) if (now - at >= REPEAT_MS) this.#senders.delete(sender);
    if (this.#senders.has(from) || this.#senders.size >= MAX_SENDERS) return;
    this.#senders.set(from, now);
    this.#say(`cluster: heartbeat from ${from}: ${reason}${hint}`, 'warning');
  }

  mismatch(id: number): void {
    this.#warn(`mismatch ${id}`, `cluster: ${this.#nameOf(id)} has another configuration`);
  }

  sendFailed(reason: string): void {
    this.#warn('send', `cluster: cannot send heartbeats on ${this.#cluster.device}: ${reason}`);
  }

  #warn(kind: string, line: string): void {
    const now = performance.now();
    if (now - (this.#saidAt.get(kind) ?? Number.NEGATIVE_INFINITY) < REPEAT_MS) return;
    this.#saidAt.set(kind, now);
    this.#say(line, 'warning');
  }

  #cause(view: View): string {
    const before = new Map((this.#view?.members ?? []).map((member) => [member.id, member]));
    const now = new Map(view.members.map((member) => [member.id, member]));
    const names = (ids: Iterable<number>) => [...ids].map((id) => this.#nameOf(id)).join(', ');
    if (before.size === 0) return `${this.#host.name} joined`;
    const joined = [...now.keys()].filter((id) => !before.has(id));
    const lost = [...before.keys()].filter((id) => !now.has(id));
    const restarted = [...now.values()].filter(
      ({ id, boot }) => before.has(id) && before.get(id)!.boot !== boot,
    );
    const weighed = [...now.values()].filter(
      ({ id, weights }) => before.has(id) && before.get(id)!.weights.join() !== weights.join(),
    );
    const causes = [
      joined.length > 0 && `joined: ${names(joined)}`,
      lost.length > 0 && `lost: ${names(lost)}`,
      restarted.length > 0 && `restarted: ${names(restarted.map(({ id }) => id))}`,
      weighed.length > 0 && `weights: ${names(weighed.map(({ id }) => id))}`,
    ].filter((cause) => cause !== false);
    return causes.join('; ') || 'coordinator changed';
  }

  #nameOf(id: number): string {
    return this.#cluster.hosts.find((host) => host.id === id)?.name ?? `host ${id}`;
  }
}

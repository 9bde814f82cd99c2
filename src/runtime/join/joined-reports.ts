/** What the log and the conditions say of servers that join: their states, refusals, and those that are kept while silent. */
import type { Placement } from '../../join/placement.ts';
import type { HeartbeatOutcome, JoinedState, JoinRefusal } from '../../model/joined.ts';
import type { Conditions } from '../conditions.ts';
import type { Log } from '../log.ts';

export interface JoinedReportsOptions {
  readonly conditions: Conditions;
  readonly log: Log;
}

export class JoinedReports {
  readonly #options: JoinedReportsOptions;
  /** Heartbeats that were refused until the last report. */
  #refused = 0;

  constructor(options: JoinedReportsOptions) {
    this.#options = options;
  }

  /** Logs the state that a server now has in `services`. */
  changed(server: string, state: JoinedState, services: readonly string[]): void {
    const level = state === 'silent' || state === 'kept' ? 'warning' : 'info';
    const some = services.length > 1 ? { services: services.length } : { service: services[0]! };
    this.#options.log(level, `server-${state}`, { server, ...some });
  }

  /** Logs that something of a server's announcement was refused. `subject`: the destination, or the service. */
  refused(server: string, reason: JoinRefusal, subject: string): void {
    this.#options.log('warning', 'join-refused', { server, reason, subject });
  }

  /** Logs that no server can join. */
  withoutSource(): void {
    this.#options.log('warning', 'join-without-source', {
      reason: 'the section join has no interface, and this director follows no etcd (run --cluster)',
    });
  }

  /** Sets the condition of services whose silent servers are kept. */
  kept(placements: Iterable<Placement>): void {
    const counts = new Map<string, { kept: number; all: number }>();
    for (const { serviceName, isKept } of placements) {
      const count = counts.get(serviceName) ?? { kept: 0, all: 0 };
      counts.set(serviceName, { kept: count.kept + Number(isKept), all: count.all + 1 });
    }
    const now = [...counts].flatMap(([service, { kept, all }]) => {
      const text = `${service}: ${kept} of ${all} servers that joined are silent: all are kept, and checks decide`;
      return kept === 0 ? [] : [[service, { text, fields: { service, kept, all } }] as const];
    });
    this.#options.conditions.set('joined-servers-kept', new Map(now));
  }

  /** Logs that heartbeats were refused since the last call. `counts`: of all heartbeats, by outcome. */
  heartbeats(counts: Readonly<Record<HeartbeatOutcome, number>>): void {
    const { unauthenticated, replayed, malformed, overload } = counts;
    const refused = unauthenticated + replayed + malformed + overload;
    if (refused > this.#refused)
      this.#options.log('warning', 'heartbeats-refused', { unauthenticated, replayed, malformed, overload });
    this.#refused = refused;
  }
}

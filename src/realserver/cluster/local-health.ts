/** Checks the services of this host by port rule: while one is down, the host gets no new connections of the rule. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Health } from '../../checks/health.ts';
import { probes } from '../../checks/probes.ts';
import { observationOf } from '../../checks/watch.ts';
import type { Check, HealthState } from '../../model/check.ts';
import type { Say } from '../../model/level.ts';
import { describeRule, type NlbCluster, type PortRule } from '../../model/nlb.ts';

export interface LocalHealthOptions {
  readonly cluster: NlbCluster;
  readonly say: Say;
  /** Called after each check. */
  readonly checked: () => void;
}

export class LocalHealth implements Disposable {
  readonly #options: LocalHealthOptions;
  readonly #byRule = new Map<number, Health>();
  readonly #ended = new AbortController();

  /** Begins to check. Services are healthy until their checks fail. */
  constructor(options: LocalHealthOptions) {
    this.#options = options;
    for (const [i, rule] of options.cluster.rules.entries())
      if (rule.check) {
        const health = new Health([rule.check], performance.now());
        this.#byRule.set(i, health);
        void this.#repeat(rule, rule.check, health);
      }
  }

  /** Returns the weight of a rule that the check allows. */
  weight(rule: number, configured: number): number {
    return this.#byRule.get(rule)?.weight(configured, performance.now()) ?? configured;
  }

  /** Returns the state of the service of a rule; undefined: it has no check. */
  stateOf(rule: number): HealthState | undefined {
    return this.#byRule.get(rule)?.state;
  }

  async #repeat(rule: PortRule, check: Check, health: Health): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      const isHealthy = await this.#once(rule, check, health);
      const { interval, retryInterval = interval } = check;
      const ms = 1000 * (isHealthy || health.state === 'down' ? interval : retryInterval);
      await sleep(ms, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  /** Checks the service once. Resolves with whether it is healthy. */
  async #once(rule: PortRule, check: Check, health: Health): Promise<boolean> {
    const { cluster, say, checked } = this.#options;
    const address = rule.address ?? cluster.addresses[0]!;
    const target = { address, virtual: address, port: check.port ?? rule.first, check };
    const timeout = AbortSignal.any([this.#ended.signal, AbortSignal.timeout(1000 * check.timeout)]);
    const observation = await observationOf(probes[check.type], target, timeout);
    if (this.#ended.signal.aborted || observation.isInconclusive) return false;
    if (health.observe(observation, performance.now())) {
      const isDown = health.state === 'down';
      say(
        `cluster: ${describeRule(rule)}: the service of this host is ${health.state}: ${observation.message}`,
        isDown ? 'error' : 'info',
      );
    }
    health.tick(performance.now());
    checked();
    return observation.healthy;
  }

  [Symbol.dispose](): void {
    this.#ended.abort();
  }
}

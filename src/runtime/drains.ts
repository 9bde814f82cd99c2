/** Destinations and services that a reload has quiesced: they are removed when idle, or when their time is over. */
import type { Drain } from '../config/reload/reconcile.ts';
import type { Command } from '../model/command.ts';
import { formatDestination, formatService } from '../model/naming.ts';
import type { ServiceSnapshot } from '../model/snapshot.ts';

export class Drains {
  readonly #drains = new Map<string, { readonly drain: Drain; readonly deadline: number }>();

  /** Replaces what was to be drained: a reload decides anew. `deadline`: ms of the director's clock. */
  set(drains: readonly Drain[], deadline: number): void {
    const before = new Map(this.#drains);
    this.#drains.clear();
    for (const drain of drains) {
      const key = nameOf(drain);
      this.#drains.set(key, before.get(key) ?? { drain, deadline });
    }
  }

  get all(): readonly Drain[] {
    return [...this.#drains.values()].map(({ drain }) => drain);
  }

  get size(): number {
    return this.#drains.size;
  }

  /** True while a service at the address is among them. */
  uses(address: string): boolean {
    for (const { drain } of this.#drains.values())
      if ('address' in drain.service && drain.service.address === address) return true;
    return false;
  }

  /** What can be removed now; it is forgotten here. */
  due(services: readonly ServiceSnapshot[], now: number): Command[] {
    const known = new Map(services.map((each) => [formatService(each.service), each]));
    const removed = new Set<string>();
    const commands: Command[] = [];
    for (const [key, { drain, deadline }] of this.#drains) {
      const service = known.get(formatService(drain.service));
      if (!service) this.#drains.delete(key);
      else if (drain.destination) {
        const endpoint = formatDestination(drain.destination);
        const destination = service.destinations.find((each) => formatDestination(each) === endpoint);
        const busy = destination && destination.activeConnections + destination.inactiveConnections > 0;
        if (busy && now < deadline) continue;
        this.#drains.delete(key);
        if (!destination) continue;
        removed.add(`${formatService(drain.service)} ${endpoint}`);
        commands.push({ op: 'delete-destination', service: drain.service, destination: drain.destination });
      } else {
        const left = service.destinations.filter(
          (each) => !removed.has(`${formatService(drain.service)} ${formatDestination(each)}`),
        );
        if (left.length > 0 && now < deadline) continue;
        this.#drains.delete(key);
        commands.push({ op: 'delete-service', service: drain.service });
      }
    }
    return commands;
  }
}

const nameOf = ({ service, destination }: Drain): string =>
  `${formatService(service)} ${destination ? formatDestination(destination) : ''}`;

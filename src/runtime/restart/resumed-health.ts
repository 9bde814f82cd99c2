/** Makes the destinations of a killed director known to the health checks of the next one. */
import type { Watch } from '../../checks/watch.ts';
import type { Command } from '../../model/command.ts';
import { formatRule } from '../../model/naming.ts';
import type { OwnedPart } from '../../model/owned-packets.ts';
import type { ServiceSnapshot } from '../../model/snapshot.ts';

/**
 * Returns all parts of the services. `configured`: commands that add destinations, as the killed director had them configured. A
 * checked destination whose weight is below that is down, or in its slow start. `now`: ms.
 */
export function resumeHealth(
  services: Iterable<ServiceSnapshot>,
  health: Watch,
  configured: Iterable<Command>,
  now: number,
): OwnedPart[] {
  const weights = new Map<string, number>();
  for (const command of configured)
    if (command.op === 'add-destination')
      weights.set(formatRule(command.service, command.destination), command.options.weight ?? 1);
  const parts: OwnedPart[] = [];
  for (const { service, destinations } of services) {
    parts.push({ service });
    for (const { address, port, method, weight, upperThreshold, lowerThreshold, tunnel } of destinations) {
      const destination = { address, port };
      const options = { method, weight, upperThreshold, lowerThreshold, tunnel };
      const known = weights.get(formatRule(service, destination)) ?? weight;
      health.resume({ service, destination }, { options, configured: known }, now);
      parts.push({ service, destination: { address, port, method } });
    }
  }
  return parts;
}

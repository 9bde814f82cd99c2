/** Checks the section of a document about servers that join by themselves. */
import { formatService } from '../model/naming.ts';
import type { Document, ServiceDocument } from './document.ts';
import type { Notes, Placed } from './parse-result.ts';
import type { Place } from './problem.ts';

/** A destination of the file whose weight is smaller by this factor gets hardly any connections. */
const MAX_RATIO = 10;

export function reviewJoin(document: Document, notes: Notes, place: (part: Placed) => Place): void {
  const { join, services, cluster } = document;
  if (join && !cluster && !services.some((each) => each.join))
    notes.warning(place(join), 'no service allows servers to join: add join: true to services or defaults');
  for (const service of services) {
    const small = smallWeight(service);
    if (small !== undefined)
      notes.warning(
        place(service),
        `${formatService(service.service)}: destinations of weight ${small} get few connections beside servers that join with up to ${service.join!.maxWeight}: set their weight, or max-weight of join`,
      );
  }
}

function smallWeight({ join, destinations }: ServiceDocument): number | undefined {
  const weights = destinations.map(({ options }) => options.weight ?? 1).filter((weight) => weight > 0);
  const least = Math.min(...weights);
  return join && weights.length > 0 && least * MAX_RATIO < join.maxWeight ? least : undefined;
}

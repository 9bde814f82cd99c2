/** The destinations of a document that the director is to watch. */
import type { Watched } from '../../checks/watch.ts';
import { forwardedPort } from '../../config/compile.ts';
import type { Document } from '../../config/document.ts';

/** A standby watches nothing, and what has no port to be asked at is not asked. */
export function watchedOf({ active, services }: Document): Watched[] {
  if (!active) return [];
  return services.flatMap((service) => {
    const { check } = service;
    if (!check) return [];
    return service.destinations.flatMap((each) => {
      const port = forwardedPort(service, each);
      if (port === 0 && check.port === undefined && check.type !== 'command') return [];
      const { address } = each.destination;
      return [{ service: service.service, destination: { address, port }, check }];
    });
  });
}

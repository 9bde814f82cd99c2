/** The services and servers of a document in its order, with their names. */
import { isName, type ListedService } from '../model/entity-name.ts';
import { familyOfText } from './canonical-address.ts';
import { forwardedTo } from './compile.ts';
import type { DestinationDocument, Document, ServiceDocument } from './document.ts';
import type { Notes, Placed } from './parse-result.ts';
import type { Place } from './problem.ts';

/** Returns the services of a document. A standby has none. */
export const listedOf = ({ active, services }: Document): ListedService[] =>
  active ? services.map(listed) : [];

const listed = (each: ServiceDocument): ListedService => ({
  service: each.service,
  ...(each.name !== undefined && { name: each.name }),
  destinations: allOf(each).map((one) => {
    const name = nameOf(one);
    return { destination: forwardedTo(each, one), ...(name !== undefined && { name }) };
  }),
});

const allOf = ({ destinations, sorry = [] }: ServiceDocument): readonly DestinationDocument[] => [
  ...destinations,
  ...sorry,
];

/** Returns the name of a server: that of the file, or the name of its host. undefined: the file has only its address. */
const nameOf = ({ name, server }: DestinationDocument): string | undefined =>
  name ?? (familyOfText(server) === 0 && isName(server) ? server : undefined);

/**
 * Adds the problems of names to `notes`. A name belongs to one service, or to one server; a server may have an address of
 * each family.
 */
export function reviewNames(
  services: readonly ServiceDocument[],
  notes: Notes,
  place: (part: Placed) => Place,
): void {
  const named = new Map<string, ServiceDocument>();
  const servers = new Map<string, DestinationDocument>();
  for (const service of services) {
    if (service.name !== undefined) {
      const first = named.get(service.name);
      if (first)
        notes.error(
          place(service),
          `duplicate service name ${service.name} (first on line ${place(first).line})`,
        );
      else named.set(service.name, service);
    }
    const own = new Set<string>();
    for (const one of allOf(service)) {
      const name = nameOf(one);
      if (name === undefined) continue;
      const { address } = one.destination;
      const key = `${familyOfText(address)} ${name}`;
      const first = servers.get(key);
      if (!first) servers.set(key, one);
      else if (first.destination.address !== address)
        notes.error(
          place(one),
          `duplicate server name ${name}: it names ${address}, and ${first.destination.address} on line ${place(first).line}`,
        );
      if (one.name !== undefined && own.has(name))
        notes.error(
          place(one),
          `duplicate server name ${name} in this service: expected one per destination`,
        );
      own.add(name);
    }
  }
}

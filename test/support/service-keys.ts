/** The keys of the kernel's map of services, for a list of services. */
import type { OwnedDestination } from '../../src/model/owned-packets.ts';
import type { ServiceAddress } from '../../src/model/service.ts';
import { ServiceKeySet, type ServiceKeys } from '../../src/offload/services.ts';
import type { Address } from '../../src/wire/address.ts';

export function serviceKeys({
  services,
  own,
}: {
  readonly services: readonly {
    readonly service: ServiceAddress;
    readonly destinations: readonly OwnedDestination[];
  }[];
  readonly own: readonly Address[];
}): ServiceKeys {
  const added = services.flatMap(({ service, destinations }) => [
    { service },
    ...destinations.map((destination) => ({ service, destination })),
  ]);
  return new ServiceKeySet().change({ added, removed: [], own });
}

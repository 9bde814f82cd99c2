/** Finds destinations in the rules of a director, without copies of its services. */
import { serviceKey } from '../director/administration.ts';
import type { Director } from '../director/director.ts';
import type { Destination, DestinationAddress } from '../model/destination.ts';
import type { ServiceAddress } from '../model/service.ts';
import { formatAddress } from '../wire/address.ts';

/** Returns a destination of the rules; undefined: they do not have it. */
export const runningDestination = (
  director: Pick<Director, 'context'>,
  service: ServiceAddress,
  { address, port }: DestinationAddress,
) =>
  director.context.services
    .get(serviceKey(service))
    ?.destinations.find((each: Destination) => each.port === port && formatAddress(each.address) === address);

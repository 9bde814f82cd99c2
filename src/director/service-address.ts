/** The address of a service, as commands and snapshots have it. */
import type { Protocol, ServiceAddress } from '../model/service.ts';
import type { Address } from '../wire/address.ts';
import { TCP } from '../wire/tcp.ts';
import { UDP } from '../wire/udp.ts';
import type { ServiceKey } from './service.ts';

/** Returns the address of a service key: the inverse of `serviceKey`. */
export const serviceAddress = (service: ServiceKey, format: (address: Address) => string): ServiceAddress =>
  service.mark !== 0
    ? { mark: service.mark, family: service.family }
    : { protocol: protocolName(service.protocol), address: format(service.address), port: service.port };

const protocolName = (number: number): Protocol => (number === TCP ? 'tcp' : number === UDP ? 'udp' : 'sctp');

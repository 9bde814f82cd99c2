/** Creates snapshots of a director's state. */

import type { Row } from '../model/connection.ts';
import type { ConnectionSnapshot, DestinationSnapshot, ServiceSnapshot } from '../model/snapshot.ts';
import { formatAddress } from '../wire/address.ts';
import { SCTP } from '../wire/sctp.ts';
import { TCP } from '../wire/tcp.ts';
import { UDP } from '../wire/udp.ts';
import { type Core, destinationOf } from './core.ts';
import { engineOf } from './path/persistence.ts';
import { SCTP_STATES } from './path/sctp-state.ts';
import { TCP_STATES } from './path/tcp-state.ts';
import { UDP_STATES } from './path/udp-state.ts';
import type { RealDestination, Service } from './service.ts';
import { serviceAddress } from './service-address.ts';

export function snapshotOfService(
  { kernelPath }: Pick<Core, 'kernelPath'>,
  service: Service,
): ServiceSnapshot {
  const admission = kernelPath.admission(service);
  return {
    service: serviceAddress(service, formatAddress),
    options: service.options,
    stats: service.meter.traffic(),
    rates: service.meter.rate(),
    ...(admission && { admission }),
    destinations: service.destinations.map(snapshotOfDestination),
  };
}

function snapshotOfDestination(destination: RealDestination): DestinationSnapshot {
  const { port, method, tunnel, weight, upperThreshold, lowerThreshold, overloaded } = destination;
  const { activeConnections, inactiveConnections, persistentConnections, meter } = destination;
  return {
    address: formatAddress(destination.address),
    port,
    method,
    tunnel,
    weight,
    upperThreshold,
    lowerThreshold,
    activeConnections,
    inactiveConnections,
    persistentConnections,
    overloaded,
    stats: meter.traffic(),
    rates: meter.rate(),
  };
}

export function snapshotOfConnection(core: Core, row: Row, now: number): ConnectionSnapshot {
  const { table, engineData } = core;
  const { protocol, caddr, cport, vaddr, vport, dport } = table.select(row);
  const template = table.isTemplate(row);
  const data = engineData.get(row);
  const destination = destinationOf(core, row);
  return {
    protocol: protocolName(protocol),
    state: stateName(protocol, table.state(row), template),
    expires: Math.max(0, Math.floor((table.expires(row) - now) / 1000)),
    clientAddress: formatAddress(caddr),
    clientPort: cport,
    virtualAddress: formatAddress(vaddr),
    virtualPort: vport,
    destinationAddress: formatAddress(destination.address),
    destinationPort: dport,
    template,
    ...(table.isSynced(row) && { synced: true as const }),
    ...(data !== undefined && { engine: engineOf(destination.service), engineData: data }),
  };
}

/** What the kernel lists for a state without a name, which only messages of other directors have. */
const UNKNOWN_STATE = 'ERR!';
const TEMPLATE_STATES = ['NONE', 'ASSURED'];

function protocolName(protocol: number): ConnectionSnapshot['protocol'] {
  switch (protocol) {
    case TCP:
      return 'TCP';
    case UDP:
      return 'UDP';
    case SCTP:
      return 'SCTP';
    case 0:
      return 'IP';
    default:
      return `IP_${protocol}`;
  }
}

function stateName(protocol: number, state: number, template: boolean): string {
  const names: readonly string[] = template
    ? TEMPLATE_STATES
    : protocol === TCP
      ? TCP_STATES
      : protocol === SCTP
        ? SCTP_STATES
        : protocol === UDP
          ? UDP_STATES
          : [];
  return names[state] ?? UNKNOWN_STATE;
}

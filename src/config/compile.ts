/** Compiles a document into the commands that configure a new director. */
import type { Command, SyncDaemon } from '../model/command.ts';
import type { DestinationAddress } from '../model/destination.ts';
import type { SettingName } from '../model/settings.ts';
import type { DestinationDocument, Document, ServiceDocument, SyncDocument } from './document.ts';

export function compile(document: Document): Command[] {
  if (!document.active) return [];
  const { timeouts, marks } = document;
  return [
    ...Object.entries(document.settings).map(
      ([name, value]): Command => ({ op: 'set', name: name as SettingName, value }),
    ),
    ...(Object.keys(timeouts).length > 0 ? [setTimeouts(timeouts)] : []),
    ...(marks.length > 0 ? [{ op: 'set-marks', rules: marks } as const] : []),
    ...document.services.flatMap(compileService),
    // Settings are read when a daemon starts.
    ...(document.sync ? daemonsOf(document.sync) : []).map(
      (daemon): Command => ({ op: 'start-daemon', daemon }),
    ),
  ];
}

/** Returns the sync daemons of a director. */
const daemonsOf = ({ role, daemon }: SyncDocument): SyncDaemon[] =>
  (role === 'both' ? (['master', 'backup'] as const) : [role]).map((each) => ({ role: each, ...daemon }));

const setTimeouts = (timeouts: Document['timeouts']): Command => ({
  op: 'set-timeouts',
  timeouts: { tcp: 0, tcpFin: 0, udp: 0, ...timeouts },
});

/** Returns the commands that add a service with its destinations. */
export function compileService(service: ServiceDocument): Command[] {
  return [
    { op: 'add-service', service: service.service, options: service.options },
    ...service.destinations.map(
      (each): Command => ({
        op: 'add-destination',
        service: service.service,
        destination: forwardedTo(service, each),
        options: each.options,
      }),
    ),
  ];
}

/** Returns the address to which packets of a service's destination are sent: that of the running destination. */
export const forwardedTo = (service: ServiceDocument, each: DestinationDocument): DestinationAddress => ({
  address: each.destination.address,
  port: forwardedPort(service, each),
});

/**
 * Returns the port to which a destination's packets are sent. Only NAT can change it: other methods use the
 * service's port, as the kernel does.
 */
function forwardedPort({ service }: ServiceDocument, { destination, options }: DestinationDocument): number {
  return options.method === 'nat' || !('port' in service) ? destination.port : service.port;
}

/** The names that dashboards know: those of node_exporter (collector/ipvs_linux.go, 1.8). */
import type { DestinationSnapshot, ServiceSnapshot, Snapshot } from '../model/snapshot.ts';
import { counter, type Family, gauge, type Labels, type Sample, single } from './families.ts';
import { MAX_DESTINATIONS } from './labels.ts';

export function nodeExporterFamilies({ services, stats }: Snapshot): Family[] {
  const backends = services
    .flatMap((service) =>
      service.destinations.map((destination) => [labelsOf(service, destination), destination] as const),
    )
    .slice(0, MAX_DESTINATIONS);
  const each = (of: (destination: DestinationSnapshot) => number): Sample[] =>
    backends.map(([labels, destination]) => [labels, of(destination)]);
  const name = (end: string) => `node_ipvs_${end}`;
  return [
    counter(name('connections_total'), 'The total number of connections made.', single(stats.connections)),
    counter(name('incoming_packets_total'), 'The total number of incoming packets.', single(stats.inPackets)),
    counter(
      name('outgoing_packets_total'),
      'The total number of outgoing packets.',
      single(stats.outPackets),
    ),
    counter(name('incoming_bytes_total'), 'The total amount of incoming data.', single(stats.inOctets)),
    counter(name('outgoing_bytes_total'), 'The total amount of outgoing data.', single(stats.outOctets)),
    gauge(
      name('backend_connections_active'),
      'The current active connections by local and remote address.',
      each((d) => d.activeConnections),
    ),
    gauge(
      name('backend_connections_inactive'),
      'The current inactive connections by local and remote address.',
      each((d) => d.inactiveConnections),
    ),
    gauge(
      name('backend_weight'),
      'The current backend weight by local and remote address.',
      each((d) => d.weight),
    ),
  ];
}

function labelsOf({ service }: ServiceSnapshot, { address, port }: DestinationSnapshot): Labels {
  const marked = 'mark' in service;
  return {
    local_address: marked ? '' : service.address,
    local_port: marked ? '0' : String(service.port),
    remote_address: address,
    remote_port: String(port),
    proto: marked ? 'FWM' : service.protocol.toUpperCase(),
    local_mark: marked ? service.mark.toString(16).toUpperCase().padStart(8, '0') : '',
  };
}

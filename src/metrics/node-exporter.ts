/** Metrics under the names of node_exporter's ipvs collector (collector/ipvs_linux.go, 1.8), which dashboards query. */
import { Slice } from '../model/slice.ts';
import { type DestinationSnapshot, inRules, type ServiceSnapshot, type Snapshot } from '../model/snapshot.ts';
import { counter, type Family, gauge, type Labels, type Sample, single } from './families.ts';
import { MAX_DESTINATIONS } from './labels.ts';

/** Values of the backend gauges that share one set of labels. */
interface Backend {
  readonly labels: Labels;
  active: number;
  inactive: number;
  weight: number;
}

/** Resolves with the families of node_exporter's ipvs collector for a snapshot. Works in slices. */
export async function nodeExporterFamilies({ services, stats }: Snapshot): Promise<Family[]> {
  const backends = await backendsOf(services);
  const each = (of: (backend: Backend) => number): Sample[] =>
    backends.map((backend) => [backend.labels, of(backend)]);
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
      each(({ active }) => active),
    ),
    gauge(
      name('backend_connections_inactive'),
      'The current inactive connections by local and remote address.',
      each(({ inactive }) => inactive),
    ),
    gauge(
      name('backend_weight'),
      'The current backend weight by local and remote address.',
      each(({ weight }) => weight),
    ),
  ];
}

/**
 * Resolves with at most MAX_DESTINATIONS backends. Like node_exporter (collector/ipvs_linux.go, 1.8), it adds up destinations
 * whose labels are equal: the labels do not distinguish an IPv6 mark from an IPv4 mark of the same number.
 */
async function backendsOf(services: readonly ServiceSnapshot[]): Promise<Backend[]> {
  const slice = new Slice();
  const backends = new Map<string, Backend>();
  for (const service of inRules(services)) {
    if (slice.spent) await slice.next();
    for (const destination of service.destinations) {
      const labels = labelsOf(service, destination);
      const key = Object.values(labels).join(' ');
      let backend = backends.get(key);
      if (!backend) {
        if (backends.size >= MAX_DESTINATIONS) continue;
        backend = { labels, active: 0, inactive: 0, weight: 0 };
        backends.set(key, backend);
      }
      backend.active += destination.activeConnections;
      backend.inactive += destination.inactiveConnections;
      backend.weight += destination.weight;
    }
  }
  return [...backends.values()];
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

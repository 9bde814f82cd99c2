/** A snapshot as Prometheus text, under names of our own and under those of node_exporter's ipvs collector. */
import { Counter, Gauge, Registry } from 'prom-client';
import type { DestinationSnapshot, ServiceSnapshot, Snapshot, Traffic } from '../model/snapshot.ts';

/** What a packet driver lost since the start, in packets, by a stable word. */
export type Losses = Readonly<Record<string, number>>;

type Labels = Readonly<Record<string, string | number>>;
type Values = readonly (readonly [labels: Labels, value: number])[];

export const CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

/** `losses`: by which the driver lost packets; `sendFailures`: packets that the kernel refused to send, by its words. */
export function exposition(snapshot: Snapshot, losses: Losses, sendFailures: Losses): Promise<string> {
  const registry = new Registry();
  const counter = (name: string, help: string, values: Values) => {
    const metric = new Counter({ name, help, labelNames: namesOf(values), registers: [registry] });
    for (const [labels, value] of values) metric.inc(labels, value);
  };
  const gauge = (name: string, help: string, values: Values) => {
    const metric = new Gauge({ name, help, labelNames: namesOf(values), registers: [registry] });
    for (const [labels, value] of values) metric.set(labels, value);
  };
  const { services, stats, table, drops, counts } = snapshot;
  const destinations = services.flatMap((service) =>
    service.destinations.map((destination) => ({
      labels: destinationLabels(service, destination),
      destination,
    })),
  );

  for (const [field, name, help] of TRAFFIC) {
    counter(`lvs_${name}_total`, `${help} of all services.`, [[{}, stats[field]]]);
    counter(`lvs_service_${name}_total`, `${help} of a virtual service.`, [
      ...services.map((each) => [serviceLabels(each), each.stats[field]] as const),
    ]);
    counter(
      `lvs_destination_${name}_total`,
      `${help} of a destination.`,
      destinations.map(({ labels, destination }) => [labels, destination.stats[field]]),
    );
  }
  const states = ['weight', 'activeConnections', 'inactiveConnections', 'persistentConnections'] as const;
  for (const field of states)
    gauge(
      `lvs_destination_${snakeCase(field)}`,
      `${STATE_HELP[field]} of a destination.`,
      destinations.map(({ labels, destination }) => [labels, destination[field]]),
    );
  gauge(
    'lvs_destination_overloaded',
    'Whether a destination is over its threshold (1) or not (0).',
    destinations.map(({ labels, destination }) => [labels, Number(destination.overloaded)]),
  );
  gauge('lvs_connection_table_entries', 'Entries of the connection table, templates included.', [
    [{}, table.connections],
  ]);
  gauge('lvs_connection_table_capacity', 'Entries that there is memory for now.', [[{}, table.capacity]]);
  gauge('lvs_connection_table_octets', 'Octets of the connection table.', [[{}, table.octets]]);
  counter(
    'lvs_dropped_packets_total',
    'Packets that were dropped, by reason.',
    Object.entries(drops).map(([reason, value]) => [{ reason }, value]),
  );
  counter(
    'lvs_events_total',
    'What became of packets and connections.',
    Object.entries(counts).map(([event, value]) => [{ event }, value as number]),
  );
  counter(
    'lvs_driver_lost_packets_total',
    'Packets that were lost before the director saw them, by place.',
    Object.entries(losses).map(([place, value]) => [{ place }, value]),
  );
  counter(
    'lvs_driver_send_failures_total',
    'Packets that the kernel refused to send, by its words.',
    Object.entries(sendFailures).map(([why, value]) => [{ why }, value]),
  );
  nodeExporter(counter, gauge, snapshot);
  return registry.metrics();
}

/** Fields of Traffic, the end of a metric's name, and its help. */
const TRAFFIC: readonly (readonly [keyof Traffic, string, string])[] = [
  ['connections', 'connections', 'Connections'],
  ['inPackets', 'incoming_packets', 'Packets from clients'],
  ['outPackets', 'outgoing_packets', 'Packets to clients that came this way'],
  ['inOctets', 'incoming_bytes', 'Octets from clients'],
  ['outOctets', 'outgoing_bytes', 'Octets to clients that came this way'],
];
const STATE_HELP = {
  weight: 'Weight',
  activeConnections: 'Active connections',
  inactiveConnections: 'Inactive connections',
  persistentConnections: 'Templates',
} as const;

/** The names that dashboards know (node_exporter collector/ipvs_linux.go, 1.8). */
function nodeExporter(
  counter: (name: string, help: string, values: Values) => void,
  gauge: (name: string, help: string, values: Values) => void,
  { services, stats }: Snapshot,
): void {
  for (const [field, name, help] of TRAFFIC)
    counter(`node_ipvs_${name}_total`, `${help} of all services.`, [[{}, stats[field]]]);
  const backends = services.flatMap(({ service, destinations }) =>
    destinations.map((destination) => {
      const labels = {
        local_address: 'mark' in service ? '' : service.address,
        local_port: 'mark' in service ? '0' : String(service.port),
        remote_address: destination.address,
        remote_port: String(destination.port),
        proto: 'mark' in service ? 'FWM' : service.protocol.toUpperCase(),
        local_mark: 'mark' in service ? service.mark.toString(16).toUpperCase().padStart(8, '0') : '',
      };
      return { labels, destination };
    }),
  );
  const each = (of: (destination: DestinationSnapshot) => number): Values =>
    backends.map(({ labels, destination }) => [labels, of(destination)]);
  gauge(
    'node_ipvs_backend_connections_active',
    'Active connections by destination.',
    each((d) => d.activeConnections),
  );
  gauge(
    'node_ipvs_backend_connections_inactive',
    'Inactive connections by destination.',
    each((d) => d.inactiveConnections),
  );
  gauge(
    'node_ipvs_backend_weight',
    'Weight by destination.',
    each((d) => d.weight),
  );
}

function serviceLabels({ service }: ServiceSnapshot): Labels {
  return 'mark' in service
    ? {
        protocol: 'fwm',
        address: service.family === 6 ? 'IPv6' : 'IPv4',
        port: '0',
        mark: String(service.mark),
      }
    : { protocol: service.protocol, address: service.address, port: String(service.port), mark: '' };
}

/** Always with the service: one real server may stand behind several. */
const destinationLabels = (service: ServiceSnapshot, { address, port }: DestinationSnapshot): Labels => ({
  ...serviceLabels(service),
  destination_address: address,
  destination_port: String(port),
});

/** All labels are in every row of a metric; an empty one has none. */
const namesOf = (values: Values): string[] => Object.keys(values[0]?.[0] ?? {});

const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

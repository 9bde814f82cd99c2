/** A snapshot as Prometheus text, under names of our own and under those of node_exporter's ipvs collector. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Registry } from 'prom-client';
import type { DestinationSnapshot, ServiceSnapshot, Snapshot, Traffic } from '../model/snapshot.ts';
import type { Surroundings } from '../model/surroundings.ts';
import { DROP_REASONS, type DropReason } from '../model/verdict.ts';
import { counter, type Family, gauge, type Sample, single, textOf } from './families.ts';
import { boundedWords, MAX_SERVICES, type Named, namedDestinations, serviceLabels } from './labels.ts';
import { nodeExporterFamilies } from './node-exporter.ts';

export const CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

/** ms of work after which packets get their turn; more often, and a busy director would take long to answer. */
const TURN = 8;

export async function exposition(snapshot: Snapshot, surroundings: Surroundings): Promise<string> {
  let text = '';
  let began = performance.now();
  for (const family of families(snapshot, surroundings)) {
    text += await textOf(family);
    if (performance.now() - began < TURN) continue;
    await nextTurn();
    began = performance.now();
  }
  return text;
}

/** Everything that there is to tell. Names end as Prometheus has them: bytes, seconds, _total. */
export function families(snapshot: Snapshot, surroundings: Surroundings): Family[] {
  const services = snapshot.services.slice(0, MAX_SERVICES);
  const destinations = namedDestinations(services);
  const all = snapshot.services.reduce((sum, { destinations: its }) => sum + its.length, 0);
  return [
    ...traffic(snapshot, services, destinations),
    ...serviceStates(services),
    ...destinationStates(destinations),
    ...decisions(snapshot),
    ...table(snapshot),
    gauge('lvs_omitted', 'Services and destinations that have no rows here, for they are too many.', [
      [{ kind: 'service' }, snapshot.services.length - services.length],
      [{ kind: 'destination' }, all - destinations.length],
    ]),
    ...process(surroundings),
    ...nodeExporterFamilies(snapshot),
  ].filter(({ samples }) => samples.length > 0);
}

/** Fields of Traffic, the end of a metric's name, and its help. */
const TRAFFIC: readonly (readonly [keyof Traffic, string, string])[] = [
  ['connections', 'connections', 'Connections'],
  ['inPackets', 'incoming_packets', 'Packets from clients'],
  ['outPackets', 'outgoing_packets', 'Packets to clients that came this way'],
  ['inOctets', 'incoming_bytes', 'Octets from clients'],
  ['outOctets', 'outgoing_bytes', 'Octets to clients that came this way'],
];

const traffic = (
  { stats }: Snapshot,
  services: readonly ServiceSnapshot[],
  destinations: readonly Named[],
): Family[] =>
  TRAFFIC.flatMap(([field, name, help]) => [
    counter(`lvs_${name}_total`, `${help} of all services.`, single(stats[field])),
    counter(
      `lvs_service_${name}_total`,
      `${help} of a virtual service.`,
      services.map((each) => [serviceLabels(each), each.stats[field]]),
    ),
    counter(
      `lvs_destination_${name}_total`,
      `${help} of a destination.`,
      destinations.map(({ labels, destination }) => [labels, destination.stats[field]]),
    ),
  ]);

const takesConnections = ({ weight, overloaded }: DestinationSnapshot): boolean => weight > 0 && !overloaded;

function serviceStates(services: readonly ServiceSnapshot[]): Family[] {
  const each = (of: (service: ServiceSnapshot) => number): Sample[] =>
    services.map((service) => [serviceLabels(service), of(service)]);
  return [
    gauge(
      'lvs_service_destinations',
      'Destinations of a virtual service.',
      each(({ destinations }) => destinations.length),
    ),
    gauge(
      'lvs_service_destinations_available',
      'Destinations that take new connections: they have a weight and are not overloaded.',
      each(({ destinations }) => destinations.filter(takesConnections).length),
    ),
  ];
}

function destinationStates(destinations: readonly Named[]): Family[] {
  const each = (of: (destination: DestinationSnapshot) => number): Sample[] =>
    destinations.map(({ labels, destination }) => [labels, of(destination)]);
  const checked = destinations.flatMap(({ labels, destination: { check } }) =>
    check ? [{ labels: { ...labels, type: check.type }, check }] : [],
  );
  const name = (end: string) => `lvs_destination_${end}`;
  return [
    gauge(
      name('weight'),
      'Weight of a destination; 0: quiesced.',
      each((d) => d.weight),
    ),
    gauge(
      name('active_connections'),
      'Active connections of a destination.',
      each((d) => d.activeConnections),
    ),
    gauge(
      name('inactive_connections'),
      'Inactive connections of a destination.',
      each((d) => d.inactiveConnections),
    ),
    gauge(
      name('persistent_connections'),
      'Templates of a destination.',
      each((d) => d.persistentConnections),
    ),
    gauge(
      name('overloaded'),
      'Whether a destination is over its threshold (1) or not (0).',
      each((d) => Number(d.overloaded)),
    ),
    gauge(
      name('check_up'),
      'Whether the health check of a destination succeeds (1) or not (0).',
      checked.map(({ labels, check }) => [labels, Number(check.state !== 'down')]),
    ),
    gauge(
      name('check_state_age_seconds'),
      'Time since the health check of a destination last changed its mind.',
      checked.map(({ labels, check }) => [labels, check.since]),
    ),
  ];
}

function decisions({ counts, drops }: Snapshot): Family[] {
  return [
    counter(
      'lvs_packets_total',
      'Packets that the director itself had and did not drop, by what became of them.',
      [
        [{ verdict: 'forwarded' }, counts.forwarded],
        [{ verdict: 'answered' }, counts.answered],
        [{ verdict: 'waiting' }, counts.waiting],
        [{ verdict: 'pass' }, counts.passed],
      ],
    ),
    counter(
      'lvs_dropped_packets_total',
      'Packets that were dropped, by reason.',
      (Object.keys(DROP_REASONS) as DropReason[]).map((reason) => [{ reason }, drops[reason] ?? 0]),
    ),
    counter('lvs_scheduler_decisions_total', 'Times that a scheduler was asked, by its answer.', [
      [{ result: 'chosen' }, counts.scheduled - counts.refused],
      [{ result: 'none' }, counts.refused],
    ]),
    counter('lvs_connections_admitted_total', 'New connections, by who chose their destination.', [
      [{ by: 'scheduler' }, counts.admitted - counts.templated],
      [{ by: 'template' }, counts.templated],
    ]),
    counter(
      'lvs_connections_expired_total',
      'Connections and templates that timed out.',
      single(counts.expired),
    ),
    counter(
      'lvs_connections_reused_total',
      'Connections that gave way to a new one of the same endpoints.',
      single(counts.reused),
    ),
  ];
}

const table = ({ table: its }: Snapshot): Family[] => [
  gauge(
    'lvs_connection_table_entries',
    'Entries of the connection table, templates included.',
    single(its.connections),
  ),
  gauge('lvs_connection_table_capacity', 'Entries that there is room for.', single(its.capacity)),
  gauge('lvs_connection_table_bytes', 'Octets of the connection table.', single(its.octets)),
  gauge(
    'lvs_connection_table_entries_highest',
    'Most entries of the connection table since the start.',
    single(its.highest),
  ),
  gauge(
    'lvs_connection_table_longest_probe',
    'Most entries that one look-up has had to compare.',
    single(its.longestProbe),
  ),
];

function process(its: Surroundings): Family[] {
  const { eventLoopDelay: delay, control, offload } = its;
  return [
    counter(
      'lvs_driver_lost_packets_total',
      'Packets that were lost before the director saw them, by place.',
      Object.entries(its.losses).map(([place, value]) => [{ place }, value]),
    ),
    counter(
      'lvs_driver_send_failures_total',
      'Packets that the kernel refused to send, by its words.',
      boundedWords(its.sendFailures).map(([why, value]) => [{ why }, value]),
    ),
    counter(
      'lvs_offload_upcalls_total',
      'Packets that the kernel path handed up to the director.',
      offload ? single(offload.upcalls) : [],
    ),
    counter(
      'lvs_offload_flows_total',
      'Flows that the kernel path was given to forward by itself.',
      offload ? single(offload.installed) : [],
    ),
    gauge('lvs_event_loop_delay_seconds', 'How late timers come, in the last minute.', [
      [{ statistic: 'mean' }, delay.mean],
      [{ statistic: 'p99' }, delay.p99],
      [{ statistic: 'max' }, delay.max],
    ]),
    counter(
      'lvs_control_clients_total',
      'Clients that the control socket has served.',
      single(control.clients),
    ),
    counter('lvs_control_requests_total', 'Requests at the control socket.', single(control.requests)),
    counter('lvs_control_trouble_total', 'What went wrong at the control socket, by its kind.', [
      [{ kind: 'failed' }, control.failed],
      [{ kind: 'refused' }, control.refused],
      [{ kind: 'timed-out' }, control.timedOut],
      [{ kind: 'vanished' }, control.vanished],
    ]),
    gauge('lvs_uptime_seconds', 'Time since the start.', single(its.uptime)),
    gauge(
      'lvs_datapath_running',
      'Whether packets are forwarded (1) or not (0).',
      single(Number(its.running)),
    ),
    gauge('lvs_build_info', 'What runs here; always 1.', [
      [{ version: its.version, node: its.node, datapath: its.datapath }, 1],
    ]),
  ];
}

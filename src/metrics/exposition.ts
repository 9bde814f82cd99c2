/** Formats a snapshot as Prometheus text, under lvs_ names and under those of node_exporter's ipvs collector. */
import { Registry } from 'prom-client';
import { UPCALL_REASONS, type UpcallReason } from '../model/kernel-admission.ts';
import { Slice } from '../model/slice.ts';
import type { ServiceSnapshot, Snapshot, SyncCounts, Traffic } from '../model/snapshot.ts';
import { CONDITIONS, type ConditionName, type Surroundings } from '../model/surroundings.ts';
import { DROP_REASONS, type DropReason } from '../model/verdict.ts';
import { VRRP_STATES } from '../model/vrrp.ts';
import { announcementFamilies } from './announcements.ts';
import { clusterFamilies } from './cluster.ts';
import { counter, type Family, gauge, type Sample, single, textOf } from './families.ts';
import { joinFamilies } from './join.ts';
import { limitedMessages, MAX_SERVICES, type Named, namedDestinations, serviceLabels } from './labels.ts';
import { nameFamilies } from './names.ts';
import { nodeExporterFamilies } from './node-exporter.ts';
import { destinationStates, quorums, serviceStates } from './service-states.ts';

export const CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

/** Number of samples that are rendered at a time. */
const SAMPLES_PER_PART = 500;

/** Resolves with the exposition in parts. Works in slices. */
export async function exposition(snapshot: Snapshot, surroundings: Surroundings): Promise<string[]> {
  const parts: string[] = [];
  const slice = new Slice();
  for await (const family of families(snapshot, surroundings))
    for (let from = 0; from < family.samples.length; from += SAMPLES_PER_PART) {
      const text = await textOf({ ...family, samples: family.samples.slice(from, from + SAMPLES_PER_PART) });
      // Help and type are printed only before the first sample.
      parts.push(from === 0 ? text : `${text.replace(/^(?:#.*\n)+/, '')}`);
      if (slice.spent) await slice.next();
    }
  return parts;
}

/**
 * Yields all families; each is made when it is requested. Names have the suffixes of Prometheus: bytes, seconds,
 * _total.
 */
export async function* families(snapshot: Snapshot, surroundings: Surroundings): AsyncGenerator<Family> {
  const services = snapshot.services.slice(0, MAX_SERVICES);
  const destinations = namedDestinations(services);
  const all = snapshot.services.reduce((sum, { destinations: its }) => sum + its.length, 0);
  yield* traffic(snapshot, services, destinations);
  yield* nameFamilies(services);
  yield* serviceStates(services);
  yield* quorums(services);
  yield* destinationStates(destinations);
  yield* decisions(snapshot);
  yield* table(snapshot);
  if (snapshot.sync) yield* synchronization(snapshot.sync, snapshot.daemons);
  if (snapshot.vrrp.length > 0) yield vrrpStates(snapshot.vrrp);
  yield gauge('lvs_omitted', 'Services and destinations that were omitted because the limit was reached.', [
    [{ kind: 'service' }, snapshot.services.length - services.length],
    [{ kind: 'destination' }, all - destinations.length],
  ]);
  if (surroundings.routes) yield* announcementFamilies(surroundings.routes);
  if (surroundings.cluster) yield* clusterFamilies(surroundings.cluster);
  if (surroundings.join) yield* joinFamilies(surroundings.join, destinations);
  yield* process(surroundings);
  yield* await nodeExporterFamilies(snapshot);
}

/** Fields of Traffic, the suffix of a metric's name, and its help. */
const TRAFFIC: readonly (readonly [keyof Traffic, string, string])[] = [
  ['connections', 'connections', 'Connections'],
  ['inPackets', 'incoming_packets', 'Packets from clients'],
  ['outPackets', 'outgoing_packets', 'Packets to clients that passed through the director'],
  ['inOctets', 'incoming_bytes', 'Bytes from clients'],
  ['outOctets', 'outgoing_bytes', 'Bytes to clients that passed through the director'],
];

function* traffic(
  { stats }: Snapshot,
  services: readonly ServiceSnapshot[],
  destinations: readonly Named[],
): Generator<Family> {
  for (const [field, name, help] of TRAFFIC) {
    yield counter(`lvs_${name}_total`, `${help} of all services.`, single(stats[field]));
    yield counter(
      `lvs_service_${name}_total`,
      `${help} of a virtual service.`,
      services.map((each) => [serviceLabels(each), each.stats[field]]),
    );
    yield counter(
      `lvs_destination_${name}_total`,
      `${help} of a destination.`,
      destinations.map(({ labels, destination }) => [labels, destination.stats[field]]),
    );
  }
}

function decisions({ counts, drops }: Snapshot): Family[] {
  return [
    counter('lvs_packets_total', 'Packets that the process handled and did not drop, by verdict.', [
      [{ verdict: 'forwarded' }, counts.forwarded],
      [{ verdict: 'answered' }, counts.answered],
      [{ verdict: 'waiting' }, counts.waiting],
      [{ verdict: 'pass' }, counts.passed],
    ]),
    counter(
      'lvs_dropped_packets_total',
      'Packets that were dropped, by reason.',
      (Object.keys(DROP_REASONS) as DropReason[]).map((reason) => [{ reason }, drops[reason] ?? 0]),
    ),
    counter('lvs_scheduler_decisions_total', 'Scheduler decisions, by result.', [
      [{ result: 'chosen' }, counts.scheduled - counts.refused],
      [{ result: 'none' }, counts.refused],
    ]),
    counter('lvs_connections_admitted_total', 'New connections, by what selected their destination.', [
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
      'Connections that were replaced by a new one with the same endpoints.',
      single(counts.reused),
    ),
    counter(
      'lvs_connections_taken_over_total',
      'New connections that another director had scheduled (takeover).',
      single(counts.takenOver),
    ),
    counter(
      'lvs_ftp_translated_replies_total',
      'Replies of FTP servers in which the address was translated.',
      single(counts.ftpTranslated),
    ),
    counter('lvs_ftp_data_connections_total', 'Announced data connections of FTP with nat, by result.', [
      [{ result: 'expected' }, counts.ftpAnnounced - counts.ftpRefused],
      [{ result: 'refused' }, counts.ftpRefused],
    ]),
    counter(
      'lvs_ftp_unassisted_packets_total',
      'Packets of FTP control connections that were forwarded unchanged, because there were too many connections.',
      single(counts.ftpUnassisted),
    ),
  ];
}

const table = ({ table: its }: Snapshot): Family[] => [
  gauge(
    'lvs_connection_table_entries',
    'Entries of the connection table, templates included.',
    single(its.connections),
  ),
  gauge('lvs_connection_table_capacity', 'Maximum number of entries.', single(its.capacity)),
  gauge('lvs_connection_table_bytes', 'Size of the connection table in bytes.', single(its.octets)),
  gauge(
    'lvs_connection_table_entries_highest',
    'Maximum number of entries since the start.',
    single(its.highest),
  ),
  gauge(
    'lvs_connection_table_longest_probe',
    'Maximum number of entries that one lookup compared.',
    single(its.longestProbe),
  ),
];

const synchronization = (its: SyncCounts, daemons: Snapshot['daemons']): Family[] => [
  gauge(
    'lvs_sync_daemon',
    'Whether a sync daemon of that role runs.',
    (['master', 'backup'] as const).map((role) => [
      { role },
      daemons.some((daemon) => daemon.role === role) ? 1 : 0,
    ]),
  ),
  counter('lvs_sync_messages_total', 'Messages of sync daemons, by result.', [
    [{ result: 'sent' }, its.sentMessages],
    [{ result: 'dropped' }, its.droppedMessages],
    [{ result: 'received' }, its.receivedMessages],
    [{ result: 'other-syncid' }, its.foreignMessages],
    [{ result: 'malformed' }, its.malformedMessages],
    [{ result: 'unauthenticated' }, its.unauthenticatedMessages],
    [{ result: 'stale' }, its.staleMessages],
    [{ result: 'replayed' }, its.replayedMessages],
  ]),
  counter('lvs_sync_connections_total', 'Connections and templates in messages of sync daemons, by result.', [
    [{ result: 'sent' }, its.sentEntries],
    [{ result: 'taken' }, its.takenEntries],
    [{ result: 'refused' }, its.refusedEntries],
  ]),
  counter('lvs_sync_bulk_transfers_total', 'Bulk transfers between directors, by result.', [
    [{ result: 'served' }, its.servedBulks],
    [{ result: 'received' }, its.receivedBulks],
    [{ result: 'failed' }, its.failedBulks],
    [{ result: 'refused' }, its.refusedBulks],
  ]),
  counter('lvs_sync_bulk_connections_total', 'Connections and templates in bulk transfers, by direction.', [
    [{ direction: 'sent' }, its.bulkSentEntries],
    [{ direction: 'taken' }, its.bulkTakenEntries],
  ]),
];

const vrrpStates = (instances: Snapshot['vrrp']): Family =>
  gauge(
    'lvs_vrrp_state',
    'Whether a VRRP instance or group has that state, as keepalived reported it.',
    instances.flatMap(({ type, name, state }) =>
      VRRP_STATES.filter((each) => each !== 'DELETED').map(
        (each): Sample => [{ type: type.toLowerCase(), name, state: each }, each === state ? 1 : 0],
      ),
    ),
  );

function process(its: Surroundings): Family[] {
  const { eventLoopDelay: delay, control, offload, restart } = its;
  return [
    counter(
      'lvs_driver_lost_packets_total',
      'Packets that were lost before the director received them, by place.',
      Object.entries(its.losses).map(([place, value]) => [{ place }, value]),
    ),
    counter(
      'lvs_driver_send_failures_total',
      'Packets that the kernel refused to send, by its error message.',
      limitedMessages(its.sendFailures).map(([message, value]) => [{ why: message }, value]),
    ),
    gauge('lvs_access_list_entries', 'Entries of deny and allow lists, by list and source.', [
      [{ list: 'deny', source: 'file' }, its.access.deny],
      [{ list: 'deny', source: 'command' }, its.access.commanded],
      [{ list: 'allow', source: 'file' }, its.access.allow],
    ]),
    gauge(
      'lvs_conditions',
      'Conditions that impair the service to clients, by name.',
      (Object.keys(CONDITIONS) as ConditionName[]).map((condition) => [
        { condition },
        its.conditions.filter(({ name }) => name === condition).length,
      ]),
    ),
    counter(
      'lvs_vip_announcements_total',
      'Announcements of VIPs (gratuitous ARP, unsolicited neighbor advertisements).',
      single(its.announcements),
    ),
    counter(
      'lvs_offload_upcalls_total',
      'Packets that the kernel path handed up to the process.',
      offload ? single(offload.upcalls) : [],
    ),
    counter(
      'lvs_offload_packets_total',
      'Packets that the kernel path forwarded without the process, as of the last tick of the estimator.',
      offload ? single(offload.forwarded) : [],
    ),
    counter(
      'lvs_offload_admitted_total',
      'New connections that the kernel path admitted without the process, as of the last tick of the estimator.',
      offload ? single(offload.admitted) : [],
    ),
    counter(
      'lvs_offload_left_connections_total',
      'New connections that the process admitted although there is a kernel path, by reason.',
      offload
        ? (Object.keys(UPCALL_REASONS) as UpcallReason[]).map((reason) => [
            { reason },
            offload.leftToDirector[reason] ?? 0,
          ])
        : [],
    ),
    gauge(
      'lvs_restart_keeps_connections',
      'Whether the next director can take over the connections of this one.',
      single(restart.keeps ? 1 : 0),
    ),
    gauge(
      'lvs_restart_absence_seconds',
      'Time without a director before this one took the connections over; 0: not known.',
      restart.adopted ? single(restart.adopted.absence) : [],
    ),
    gauge(
      'lvs_restart_adopted_connections',
      'Connections that this director took over from a former one.',
      restart.adopted ? single(restart.adopted.connections) : [],
    ),
    gauge(
      'lvs_event_loop_longest_turn_seconds',
      'Longest turn of the event loop within the last minute: packets wait for as long.',
      single(its.longestTurn),
    ),
    gauge('lvs_event_loop_delay_seconds', 'Delay of timers in the last minute.', [
      [{ statistic: 'mean' }, delay.mean],
      [{ statistic: 'p99' }, delay.p99],
      [{ statistic: 'max' }, delay.max],
    ]),
    counter('lvs_control_clients_total', 'Clients of the control socket.', single(control.clients)),
    counter('lvs_control_requests_total', 'Requests at the control socket.', single(control.requests)),
    counter('lvs_control_trouble_total', 'Failed or refused requests at the control socket, by kind.', [
      [{ kind: 'failed' }, control.failed],
      [{ kind: 'refused' }, control.refused],
      [{ kind: 'timed-out' }, control.timedOut],
      [{ kind: 'vanished' }, control.vanished],
    ]),
    counter('lvs_notify_programs_total', 'Programs that were run for events, by result.', [
      [{ result: 'succeeded' }, its.notify.succeeded],
      [{ result: 'failed' }, its.notify.failed],
      [{ result: 'timed-out' }, its.notify.timedOut],
      [{ result: 'dropped' }, its.notify.dropped],
    ]),
    gauge('lvs_uptime_seconds', 'Time since the start.', single(its.uptime)),
    gauge(
      'lvs_datapath_running',
      'Whether packets are forwarded (1) or not (0).',
      single(Number(its.running)),
    ),
    gauge('lvs_build_info', 'Version, runtime and datapath; always 1.', [
      [{ version: its.version, node: its.node, datapath: its.datapath }, 1],
    ]),
  ];
}

/** Metrics of the states of virtual services and destinations. */
import { acceptsConnections } from '../model/destination.ts';
import type { DestinationSnapshot, ServiceSnapshot } from '../model/snapshot.ts';
import { type Family, gauge, type Sample } from './families.ts';
import { type Named, serviceLabels } from './labels.ts';

/** Returns how many destinations services have, and what admits their connections. */
export function serviceStates(services: readonly ServiceSnapshot[]): Family[] {
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
      'Destinations that accept new connections: their weight is above 0, and they are not overloaded.',
      each(({ destinations }) => destinations.filter(acceptsConnections).length),
    ),
    gauge(
      'lvs_service_kernel_admission',
      'Whether programs of the kernel admit new connections of a virtual service (1), or the process does (0).',
      services.flatMap((each) =>
        each.admission === undefined ? [] : [[serviceLabels(each), Number(each.admission === 'kernel')]],
      ),
    ),
  ];
}

/** Returns the quorums of services, and the sorry servers in use. */
export function quorums(services: readonly ServiceSnapshot[]): Family[] {
  const limited = services.flatMap((each) => (each.quorum ? [{ each, quorum: each.quorum }] : []));
  const sorry = services.flatMap((each) =>
    each.destinations.filter((one) => one.sorry).map((one) => ({ each, one })),
  );
  return [
    gauge(
      'lvs_service_quorum',
      'Whether a virtual service with a quorum or sorry servers has its quorum (1) or has lost it (0).',
      limited.map(({ each, quorum }) => [serviceLabels(each), Number(!quorum.lost)]),
    ),
    gauge(
      'lvs_service_sorry_servers_used',
      'Sorry servers of a virtual service that receive connections.',
      limited.map(({ each }) => [
        serviceLabels(each),
        sorry.filter(({ each: of, one }) => of === each && one.weight > 0).length,
      ]),
    ),
  ];
}

/** Returns weights, connections and health of destinations. */
export function destinationStates(destinations: readonly Named[]): Family[] {
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
      name('drained'),
      'Whether the server of a destination was drained by a command (1) or not (0).',
      each((d) => Number(d.drained === true)),
    ),
    gauge(
      name('check_up'),
      'Whether the health check of a destination succeeds (1) or not (0).',
      checked.map(({ labels, check }) => [labels, Number(check.state !== 'down')]),
    ),
    gauge(
      name('check_state_age_seconds'),
      'Time since the last change of health state of a destination.',
      checked.map(({ labels, check }) => [labels, check.since]),
    ),
  ];
}

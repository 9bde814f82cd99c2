/** Formats what is known of servers that join by themselves. */
import { JOINED_STATES, type JoinCounts } from '../model/joined.ts';
import { counter, type Family, gauge, single } from './families.ts';
import type { Named } from './labels.ts';

export const joinFamilies = (
  { heartbeats, refusals, servers, registered, massLosses }: JoinCounts,
  destinations: readonly Named[],
): Family[] => [
  gauge(
    'lvs_joined_servers',
    'Servers that joined by themselves, by state.',
    JOINED_STATES.map((state) => [{ state }, servers[state]]),
  ),
  gauge(
    'lvs_destination_joined',
    'Whether the server of a destination that joined takes connections (1) or not (0), as it announces.',
    destinations.flatMap(({ labels, destination: { joined } }) =>
      joined
        ? [[{ ...labels, state: joined.state }, Number(joined.state === 'up' || joined.state === 'kept')]]
        : [],
    ),
  ),
  ...(registered === undefined
    ? []
    : [gauge('lvs_registered_servers', 'Servers whose keys etcd has.', single(registered))]),
  counter(
    'lvs_heartbeats_total',
    'Heartbeats of servers that join, by outcome.',
    Object.entries(heartbeats).map(([outcome, count]) => [{ outcome }, count]),
  ),
  counter(
    'lvs_join_refusals_total',
    'Refused parts of announcements of servers that join, by reason.',
    Object.entries(refusals).map(([reason, count]) => [{ reason }, count]),
  ),
  counter(
    'lvs_join_mass_losses_total',
    'Times that most servers of a service were lost at once, so that all were kept.',
    single(massLosses),
  ),
];

/** Formats the announcements of VIPs to routers. */
import type { AnnouncementListing } from '../model/announcement.ts';
import { counter, type Family, gauge, type Sample, single } from './families.ts';

/** Maximum number of VIPs that have rows. */
const MAX_VIPS = 1000;

export function announcementFamilies({
  vips,
  sessions,
  error,
  errors,
  changes,
}: AnnouncementListing): Family[] {
  const each = (of: (vip: AnnouncementListing['vips'][number]) => boolean): Sample[] =>
    vips.slice(0, MAX_VIPS).map((one) => [{ vip: one.vip }, Number(of(one))]);
  return [
    gauge(
      'lvs_announcement_ready',
      'Whether this director can serve clients of a VIP that it announces to routers.',
      each(({ isReady }) => isReady),
    ),
    gauge(
      'lvs_announcement_wanted',
      'Whether a VIP is to be announced to routers.',
      each(({ isWanted }) => isWanted),
    ),
    gauge(
      'lvs_announcement_active',
      'Whether BIRD has the route of a VIP.',
      vips[0]?.isAnnounced === undefined ? [] : each(({ isAnnounced }) => isAnnounced === true),
    ),
    gauge(
      'lvs_announcement_bgp_sessions',
      'BGP sessions of BIRD, by state.',
      sessions
        ? [
            [{ state: 'established' }, sessions.established],
            [{ state: 'other' }, sessions.all - sessions.established],
          ]
        : [],
    ),
    gauge(
      'lvs_announcement_failing',
      'Whether BIRD cannot be made to do what is wanted.',
      errors ? single(Number(error !== undefined)) : [],
    ),
    counter(
      'lvs_announcement_changes_total',
      'Announcements and withdrawals that BIRD has carried out.',
      changes === undefined ? [] : single(changes),
    ),
    counter(
      'lvs_announcement_errors_total',
      'Failed attempts to make BIRD announce or withdraw VIPs, by kind.',
      Object.entries(errors ?? {}).map(([kind, count]) => [{ kind }, count]),
    ),
  ];
}

/** The announcements of VIPs to routers, as outputs show them. Plain JSON. */

import type { HoldReason } from './cluster.ts';

/** VIPs that move together between the directors of a cluster. */
export interface VipGroup {
  readonly name: string;
  /** Canonical addresses; missing: those of no other group. */
  readonly vips?: readonly string[];
  /** Number of directors that announce them; the others are spares. */
  readonly active: number;
}

export interface VipAnnouncement {
  readonly vip: string;
  /** This director can serve clients of the VIP. */
  readonly isReady: boolean;
  /** It is to be announced: it has been ready for long enough, and no command withdraws it. */
  readonly isWanted: boolean;
  /** Other directors of the cluster announce it. */
  readonly isSpare?: true;
  /** BIRD has the route; missing: the director does not talk to BIRD. */
  readonly isAnnounced?: boolean;
}

export interface AnnouncementListing {
  /** A command withdraws all VIPs. */
  readonly isWithdrawn: boolean;
  /** The cluster withdraws all VIPs. */
  readonly held?: HoldReason;
  readonly vips: readonly VipAnnouncement[];
  /** The rest is missing if the director does not talk to BIRD. BGP sessions, as BIRD reported them. */
  readonly sessions?: { readonly established: number; readonly all: number };
  /** Why BIRD does not announce what it is to. */
  readonly error?: { readonly kind: string; readonly text: string };
  /** Failed attempts since the start, by kind. */
  readonly errors?: Readonly<Record<string, number>>;
  /** Announcements and withdrawals since the start. */
  readonly changes?: number;
}

/** What a director reports to its cluster about its host and its work. Changes are writes in etcd, so load is coarse. */
import { MAX_ANNOUNCED } from '../../cluster/records.ts';
import { interfaceAddresses } from '../../host/interface-addresses.ts';
import type { AnnouncementListing } from '../../model/announcement.ts';
import type { ClusterMember, MemberLoad } from '../../model/cluster.ts';
import { version } from '../version.ts';

/** ms for which a load is reported. */
const LOAD_MS = 60_000;
/** Addresses that a member reports. */
const MAX_ADDRESSES = 16;

/** Where the report comes from. */
export interface ReportSources {
  /** Undefined: no announcements are configured. */
  readonly announcements: () => AnnouncementListing | undefined;
  /** Reports whether this director could announce VIPs that are ready. */
  readonly canAnnounce: () => boolean;
  readonly load: () => MemberLoad;
}

export class ClusterReport {
  readonly #sources: ReportSources;
  #load: MemberLoad | undefined;
  #loadUntil = 0;

  constructor(sources: ReportSources) {
    this.#sources = sources;
  }

  /** Returns the part of the member. `now`: ms of a monotonic clock. */
  at(now: number): Pick<ClusterMember, 'version' | 'addresses' | 'cannotAnnounce' | 'announced' | 'load'> {
    if (this.#load === undefined || now >= this.#loadUntil) {
      const { connections, newConnections, inOctets } = this.#sources.load();
      this.#load = {
        connections: rounded(connections),
        newConnections: rounded(newConnections),
        inOctets: rounded(inOctets),
      };
      this.#loadUntil = now + LOAD_MS;
    }
    const listing = this.#sources.announcements();
    const vips = listing?.vips.flatMap(({ vip, isWanted, isAnnounced }) =>
      (isAnnounced ?? isWanted) ? vip : [],
    );
    const addresses = interfaceAddresses().flatMap(({ address, isLoopback }) => (isLoopback ? [] : address));
    return {
      version: version(),
      addresses: addresses.slice(0, MAX_ADDRESSES),
      ...(vips && { announced: { count: vips.length, vips: vips.slice(0, MAX_ANNOUNCED) } }),
      ...(!this.#sources.canAnnounce() && { cannotAnnounce: true }),
      load: this.#load,
    };
  }
}

/** Returns a whole number with two significant digits. */
const rounded = (value: number): number => Math.round(Number(value.toPrecision(2)));

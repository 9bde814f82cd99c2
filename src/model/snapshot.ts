/** The state of a director as plain JSON: a copy, which never changes. */
import type { CheckSnapshot } from './check.ts';
import type { SyncDaemon } from './command.ts';
import type { DestinationAddress, ForwardingMethodName, TunnelOptions } from './destination.ts';
import type { JoinedSnapshot } from './joined.ts';
import type { Admission } from './kernel-admission.ts';
import type { ServiceAddress, ServiceOptions } from './service.ts';
import type { Settings, Timeouts } from './settings.ts';
import type { DropReason } from './verdict.ts';
import type { VrrpInstance } from './vrrp.ts';

/** Totals or rates: connections, packets and bytes; in is from clients, out is to clients. */
export interface Traffic {
  readonly connections: number;
  readonly inPackets: number;
  readonly outPackets: number;
  readonly inOctets: number;
  readonly outOctets: number;
}

export interface DestinationSnapshot extends DestinationAddress {
  /** The name of the server in the configuration. */
  readonly name?: string;
  /** Its place in the service's list of the configuration, from 0; missing: it was added with ipvsadm. */
  readonly position?: number;
  readonly method: ForwardingMethodName;
  readonly tunnel: TunnelOptions;
  readonly weight: number;
  readonly upperThreshold: number;
  readonly lowerThreshold: number;
  readonly activeConnections: number;
  readonly inactiveConnections: number;
  readonly persistentConnections: number;
  readonly overloaded: boolean;
  /** Present when the weight is not that of the configuration, without a check of the destination. */
  readonly configuredWeight?: number;
  /** Present for a sorry server: it is used while its weight is above 0. */
  readonly sorry?: true;
  /** Present when the rules do not contain it now, because it is down or not used. */
  readonly removed?: true;
  /** Present when an operator has drained its server. */
  readonly drained?: true;
  /** Present when its server has joined by heartbeats. */
  readonly joined?: JoinedSnapshot;
  /** Present when the director checks the destination's health. */
  readonly check?: CheckSnapshot;
  readonly stats: Traffic;
  readonly rates: Traffic;
}

/** Returns services with the destinations that the rules contain now. */
export const inRules = (services: readonly ServiceSnapshot[]): readonly ServiceSnapshot[] =>
  services.map((each) =>
    each.destinations.some(({ removed }) => removed)
      ? { ...each, destinations: each.destinations.filter(({ removed }) => !removed) }
      : each,
  );

/** Whether the destinations of a service suffice. */
export interface QuorumSnapshot {
  /** The sum of weights that is required, and the distance from it at which the state changes. */
  readonly quorum: number;
  readonly hysteresis: number;
  /** Sum of the weights of the destinations that are up. */
  readonly weight: number;
  readonly lost: boolean;
}

export interface ServiceSnapshot {
  readonly service: ServiceAddress;
  /** Its name in the configuration. */
  readonly name?: string;
  /** Its place in the configuration, from 0; missing: it was added with ipvsadm. */
  readonly position?: number;
  readonly options: ServiceOptions;
  readonly stats: Traffic;
  readonly rates: Traffic;
  /** What admits its new connections; missing without a kernel path. */
  readonly admission?: Admission;
  /** In the kernel's order, newest first. */
  readonly destinations: readonly DestinationSnapshot[];
  /** Present when the configuration has a quorum or sorry servers for the service. */
  readonly quorum?: QuorumSnapshot;
}

export interface ConnectionSnapshot {
  /**
   * 'TCP', 'UDP', 'SCTP', 'IP' for a template of a firewall mark, or 'IP_50' for another protocol of another director's
   * connection, as `ipvsadm -Lc` prints it.
   */
  readonly protocol: 'TCP' | 'UDP' | 'SCTP' | 'IP' | `IP_${number}`;
  readonly state: string;
  /** Whole seconds until it expires, rounded down. */
  readonly expires: number;
  readonly clientAddress: string;
  readonly clientPort: number;
  readonly virtualAddress: string;
  readonly virtualPort: number;
  readonly destinationAddress: string;
  readonly destinationPort: number;
  readonly template: boolean;
  /** Present when a message of another director made it. */
  readonly synced?: true;
  readonly engine?: string;
  readonly engineData?: string;
}

/** Events since the start. */
export interface EventCounts {
  /** Packets by verdict; drops are counted separately. */
  readonly forwarded: number;
  readonly answered: number;
  readonly waiting: number;
  readonly passed: number;
  /** New connections, and those among them that a template decided. */
  readonly admitted: number;
  readonly templated: number;
  /** Scheduler runs, and those without a usable destination. */
  readonly scheduled: number;
  readonly refused: number;
  /** Connections and templates that timed out. */
  readonly expired: number;
  /** Connections that were replaced by a new one with the same endpoints. */
  readonly reused: number;
  /** New connections that another director had scheduled. */
  readonly takenOver: number;
  /** Replies of FTP servers whose address was translated. */
  readonly ftpTranslated: number;
  /** Data connections that clients and servers of FTP announced, and those among them that were refused. */
  readonly ftpAnnounced: number;
  readonly ftpRefused: number;
  /** Packets of control connections for which no state had room: they were forwarded unchanged. */
  readonly ftpUnassisted: number;
}

/** Synchronization with other directors since the start, of both daemons. */
export interface SyncCounts {
  readonly sentEntries: number;
  readonly sentMessages: number;
  /** Messages that were not sent, because sync_qlen_max others waited. */
  readonly droppedMessages: number;
  readonly receivedMessages: number;
  /** Messages of another sync ID. */
  readonly foreignMessages: number;
  /** Messages that were invalid, or from some entry on. */
  readonly malformedMessages: number;
  /** Messages without a tag of a key of this director. */
  readonly unauthenticatedMessages: number;
  /** Authentic messages that were sent too long ago, by the clocks of both directors. */
  readonly staleMessages: number;
  /** Authentic messages that were received before. */
  readonly replayedMessages: number;
  readonly takenEntries: number;
  /** Valid entries that were not taken: unknown, or without room. */
  readonly refusedEntries: number;
  /** Connections and templates in bulk transfers to, and from, other directors. */
  readonly bulkSentEntries: number;
  readonly bulkTakenEntries: number;
  /** Bulk transfers: to and from other directors, those from another one that failed, and refused strangers. */
  readonly servedBulks: number;
  readonly receivedBulks: number;
  readonly failedBulks: number;
  readonly refusedBulks: number;
}

export interface TableSnapshot {
  readonly connections: number;
  /** Maximum number of rows. */
  readonly capacity: number;
  /** Bytes of all its arrays. */
  readonly octets: number;
  /** Largest number of rows in use at the same time. */
  readonly highest: number;
  /** Largest number of rows that one lookup has compared since the start. */
  readonly longestProbe: number;
}

export interface Snapshot {
  /** In the order in which they were added. */
  readonly services: readonly ServiceSnapshot[];
  readonly stats: Traffic;
  readonly rates: Traffic;
  readonly timeouts: Timeouts;
  readonly settings: Settings;
  readonly daemons: readonly SyncDaemon[];
  /** Empty where keepalived has reported none. */
  readonly vrrp: readonly VrrpInstance[];
  readonly table: TableSnapshot;
  /** Packets dropped since the start, by reason. */
  readonly drops: Readonly<Partial<Record<DropReason, number>>>;
  /** Events since the start. */
  readonly counts: EventCounts;
  /** Missing for a director that cannot synchronize, such as that of a replay. */
  readonly sync?: SyncCounts;
}

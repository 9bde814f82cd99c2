/** Everything one can see of a director. Plain JSON, a copy: nothing in it changes later. */
import type { CheckSnapshot } from './check.ts';
import type { SyncDaemon } from './command.ts';
import type { DestinationAddress, ForwardingMethodName, TunnelOptions } from './destination.ts';
import type { ServiceAddress, ServiceOptions } from './service.ts';
import type { Settings, Timeouts } from './settings.ts';
import type { DropReason } from './verdict.ts';

/** Totals or rates: connections, packets and octets, in from clients, out to clients. */
export interface Traffic {
  readonly connections: number;
  readonly inPackets: number;
  readonly outPackets: number;
  readonly inOctets: number;
  readonly outOctets: number;
}

export interface DestinationSnapshot extends DestinationAddress {
  readonly method: ForwardingMethodName;
  readonly tunnel: TunnelOptions;
  readonly weight: number;
  readonly upperThreshold: number;
  readonly lowerThreshold: number;
  readonly activeConnections: number;
  readonly inactiveConnections: number;
  readonly persistentConnections: number;
  readonly overloaded: boolean;
  /** Where the director watches it. */
  readonly check?: CheckSnapshot;
  readonly stats: Traffic;
  readonly rates: Traffic;
}

export interface ServiceSnapshot {
  readonly service: ServiceAddress;
  readonly options: ServiceOptions;
  readonly stats: Traffic;
  readonly rates: Traffic;
  /** In the kernel's order, newest first. */
  readonly destinations: readonly DestinationSnapshot[];
}

export interface ConnectionSnapshot {
  /** 'TCP', 'UDP', 'SCTP', or 'IP' for a template of a firewall mark, as `ipvsadm -Lc` prints it. */
  readonly protocol: 'TCP' | 'UDP' | 'SCTP' | 'IP';
  readonly state: string;
  /** Whole seconds that are left, rounded down. */
  readonly expires: number;
  readonly clientAddress: string;
  readonly clientPort: number;
  readonly virtualAddress: string;
  readonly virtualPort: number;
  readonly destinationAddress: string;
  readonly destinationPort: number;
  readonly template: boolean;
  readonly engine?: string;
  readonly engineData?: string;
}

/** Events since the start. */
export interface EventCounts {
  /** Packets by verdict, drops apart. */
  readonly forwarded: number;
  readonly answered: number;
  readonly waiting: number;
  readonly passed: number;
  /** New connections, and those among them that a template decided. */
  readonly admitted: number;
  readonly templated: number;
  /** Times that a scheduler was asked, and that it had no destination to give. */
  readonly scheduled: number;
  readonly refused: number;
  /** Connections and templates that timed out. */
  readonly expired: number;
  /** Connections that gave way to a new one of the same endpoints. */
  readonly reused: number;
}

export interface TableSnapshot {
  readonly connections: number;
  /** Rows that there is memory for now. */
  readonly capacity: number;
  /** Octets of all its arrays. */
  readonly octets: number;
  /** Rows that were ever in use at the same time. */
  readonly highest: number;
  /** The most rows that one look-up has had to compare since the start. */
  readonly longestProbe: number;
}

export interface Snapshot {
  /** In the kernel's hash order as far as it has one: the order in which they were added. */
  readonly services: readonly ServiceSnapshot[];
  readonly stats: Traffic;
  readonly rates: Traffic;
  readonly timeouts: Timeouts;
  readonly settings: Settings;
  readonly daemons: readonly SyncDaemon[];
  readonly table: TableSnapshot;
  /** Packets dropped since the start, by reason. */
  readonly drops: Readonly<Partial<Record<DropReason, number>>>;
  /** What happened since the start. */
  readonly counts: EventCounts;
}

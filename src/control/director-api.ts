/** The interface of a director, in the same process or over the control socket. */
import type { CapturedPackets } from '../model/capture.ts';
import type { ClusterStatus } from '../model/cluster.ts';
import type { Command } from '../model/command.ts';
import type { DestinationAddress } from '../model/destination.ts';
import type { ErrorCode } from '../model/errors.ts';
import type { Explanation } from '../model/explanation.ts';
import type { ServiceAddress } from '../model/service.ts';
import type { ConnectionSnapshot, Snapshot } from '../model/snapshot.ts';
import type { OperationsApi } from './operations-api.ts';

/** The result of a command; undefined: success. */
export type Outcome = { readonly code: ErrorCode; readonly message: string } | undefined;

/** The parts of a snapshot to return; the others are empty. */
export interface SnapshotParts {
  /** true: all services; an address: that service, if it exists; missing: none. */
  readonly services?: true | ServiceAddress;
}

/** The configuration file as it was applied. */
export interface Configuration {
  /** Absolute path. */
  readonly file: string;
  readonly commands: Iterable<Command>;
  /** The datapath that forwards packets: live, tc or xdp. */
  readonly datapath: string;
  /** `address device`. */
  readonly vips: readonly string[];
  /** Digests of checks and their consequences, by the name of a service that has some. */
  readonly checks: Readonly<Record<string, string>>;
  /** Number and digest of the entries of deny and allow lists, by the name of the list. */
  readonly lists: Readonly<Record<string, { readonly entries: number; readonly digest: string }>>;
  /** Missing: the file does not configure synchronization. */
  readonly sync?: SyncSummary;
  /** What an earlier reload removed and connections still use; an entry without destination: the service itself. */
  readonly draining: readonly {
    readonly service: ServiceAddress;
    readonly destination?: DestinationAddress;
  }[];
}

/** What a file configures about synchronization besides the daemons. */
export interface SyncSummary {
  /** Identities of the keys, which reveal nothing about the secrets; none: messages are not authenticated. */
  readonly keys: readonly string[];
  /** Addresses of the directors, and the TCP port, of bulk transfers. */
  readonly peers: readonly string[];
  readonly bulkPort: number;
}

/** The result of a reload. */
export interface Reloaded {
  /** Number of applied commands. */
  readonly commands: number;
  /** Number of destinations and services that are removed when their connections have ended. */
  readonly draining: number;
  /** Values that were changed manually, as text. */
  readonly manualChanges: readonly string[];
  /** Warnings about the file. */
  readonly warnings: readonly string[];
}

/** The part of the interface that concerns the configuration file. */
export interface ConfigurationApi {
  /** Reads and applies the file. If it is invalid, changes nothing and throws LvsError CONFIG. */
  reload(): Promise<Reloaded>;
  /** Resolves with the configuration that was applied last. */
  configured(): Promise<Configuration>;
}

/** The part of the interface that concerns packets. */
export interface PacketApi {
  /** Resolves with the decision about an IP packet and its reasons. Sends nothing, and changes nothing. */
  explain(octets: Uint8Array): Promise<Explanation>;
  /** Yields copies of the service's packets from now on, without end. Throws LvsError. */
  capture(service: ServiceAddress): AsyncIterable<CapturedPackets>;
}

/** The interface that commands, the control socket and the status page use. */
export interface DirectorApi {
  /**
   * Applies commands in order, and resolves with their outcomes. A failed command does not stop the next ones. `isLocal`: on this
   * director alone, if it belongs to a cluster.
   */
  apply(commands: readonly Command[], isLocal?: boolean): Promise<readonly Outcome[]>;
  /** Resolves with a copy of the director's state. */
  snapshot(parts: SnapshotParts): Promise<Snapshot>;
  /** Yields all connections, in chunks. A connection that is added or removed meanwhile may be missing. */
  connections(): AsyncIterable<readonly ConnectionSnapshot[]>;
  readonly configuration?: ConfigurationApi;
  readonly packets?: PacketApi;
  readonly operations?: OperationsApi;
  /** Resolves with what the director knows of its cluster; undefined: it belongs to none. */
  readonly cluster?: () => Promise<ClusterStatus | undefined>;
  /**
   * Makes the director end soon. The host is restored, or, with `keep` and where there is something that outlives it, the
   * connections are kept for the next director.
   */
  readonly stop?: (keep: boolean) => Promise<Stopping>;
}

/** A director that ends. */
export interface Stopping {
  /** Its name in its network namespace. */
  readonly instance: string;
  /** Whether its connections are kept for the next director. */
  readonly keeps: boolean;
}

/** Reports whether both addresses name the same service. */
export function sameService(a: ServiceAddress, b: ServiceAddress): boolean {
  if ('mark' in a || 'mark' in b)
    return 'mark' in a && 'mark' in b && a.mark === b.mark && a.family === b.family;
  return a.protocol === b.protocol && a.port === b.port && a.address === b.address;
}

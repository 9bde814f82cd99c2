/** The API of a director: the three things that can be asked of it, near or over a socket. */
import type { CapturedPackets } from '../model/capture.ts';
import type { Command } from '../model/command.ts';
import type { DestinationAddress } from '../model/destination.ts';
import type { ErrorCode } from '../model/errors.ts';
import type { Explanation } from '../model/explanation.ts';
import type { ServiceAddress } from '../model/service.ts';
import type { ConnectionSnapshot, Snapshot } from '../model/snapshot.ts';

/** What became of one command; undefined: it was done. */
export type Outcome = { readonly code: ErrorCode; readonly message: string } | undefined;

/** Which part of a snapshot is wanted; what is not wanted is empty there. */
export interface SnapshotParts {
  /** true: every service; an address: that one, if there is one; missing: none. */
  readonly services?: true | ServiceAddress;
}

/** What the director's configuration file was compiled to. */
export interface Configuration {
  /** The file's whole path. */
  readonly file: string;
  readonly commands: Iterable<Command>;
  /** The datapath that forwards packets: live, tc or xdp. */
  readonly datapath: string;
  /** `address device`. */
  readonly vips: readonly string[];
  /** What an earlier reload removed and connections still use; without a destination: the service itself. */
  readonly draining: readonly {
    readonly service: ServiceAddress;
    readonly destination?: DestinationAddress;
  }[];
}

/** What a reload did. */
export interface Reloaded {
  /** Commands that were applied. */
  readonly commands: number;
  /** Destinations and services that go when their connections have ended. */
  readonly draining: number;
  /** Values that were changed manually, as text. */
  readonly manualChanges: readonly string[];
  /** Of the file, one a problem. */
  readonly warnings: readonly string[];
}

/** The configuration file of a director that has one. */
export interface ConfigurationApi {
  /** Reads it again and does what it says now. Throws an LvsError, and changes nothing, where it has mistakes. */
  reload(): Promise<Reloaded>;
  /** As it was read last. */
  configured(): Promise<Configuration>;
}

/** Looks at the packets of a director that has some. */
export interface PacketApi {
  /** What would become of the IP packet, and why. Nothing is sent, and nothing changes. */
  explain(octets: Uint8Array): Promise<Explanation>;
  /** Copies of the service's packets from now on; never ends by itself. */
  capture(service: ServiceAddress): AsyncIterable<CapturedPackets>;
}

export interface DirectorApi {
  /** Carries the commands out in order, each whether or not the one before it was refused; an outcome for each. */
  apply(commands: readonly Command[]): Promise<readonly Outcome[]>;
  snapshot(parts: SnapshotParts): Promise<Snapshot>;
  /** Every connection, in chunks. What comes and goes meanwhile may be in it or not. */
  connections(): AsyncIterable<readonly ConnectionSnapshot[]>;
  readonly configuration?: ConfigurationApi;
  readonly packets?: PacketApi;
}

/** True when both name the same service. */
export function sameService(a: ServiceAddress, b: ServiceAddress): boolean {
  if ('mark' in a || 'mark' in b)
    return 'mark' in a && 'mark' in b && a.mark === b.mark && a.family === b.family;
  return a.protocol === b.protocol && a.port === b.port && a.address === b.address;
}

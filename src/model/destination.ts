/** A destination: a real server as one virtual service sees it. */
import type { Address } from '../wire/address.ts';
import type { Counters, Rates } from './counters.ts';

/** How packets of a destination reach it: address translation (-m), direct routing (-g) or a tunnel (-i). */
export type ForwardingMethodName = 'nat' | 'dr' | 'tunnel';

/** How packets of a connection leave: its destination's method, or the director's own stack ("Local" in ipvsadm). */
export type ConnectionMethod = ForwardingMethodName | 'local';

export interface TunnelOptions {
  readonly type: 'ipip' | 'gue' | 'gre';
  /** UDP port of GUE; 0 otherwise. */
  readonly port: number;
  /** csum: an outer checksum; remcsum: remote checksum offload (GUE only). */
  readonly checksum: 'none' | 'csum' | 'remcsum';
}

/** How a destination is named, in commands and snapshots. */
export interface DestinationAddress {
  readonly address: string;
  readonly port: number;
}

/** What -a and -e set; a field that is missing takes its default, as in ipvsadm. */
export interface DestinationOptions {
  readonly method: ForwardingMethodName;
  /** 0 is quiesced. Default 1. */
  readonly weight?: number;
  /** Connections at which it counts as overloaded; 0: never. */
  readonly upperThreshold?: number;
  /** Connections below which it is no longer; 0: three quarters of the upper one. */
  readonly lowerThreshold?: number;
  readonly tunnel?: TunnelOptions;
}

/** A destination at run time, as schedulers and forwarding methods see it. */
export interface Destination {
  readonly address: Address;
  readonly port: number;
  readonly method: ForwardingMethodName;
  readonly tunnel: TunnelOptions;
  readonly weight: number;
  /** The weight before it was set to 0; what mh builds its table from. */
  readonly lastWeight: number;
  /** Connections as the kernel's ip_vs_dest counts them: activeconns, inactconns, persistconns. */
  readonly activeConnections: number;
  readonly inactiveConnections: number;
  readonly persistentConnections: number;
  /** Over its upper threshold and not yet below the lower one: gets no new connections. */
  readonly overloaded: boolean;
  readonly counters: Counters;
  readonly rates: Rates;
}

/** A destination: a real server in one virtual service. */
import type { Address } from '../wire/address.ts';
import type { Counters } from './counters.ts';

/** How packets reach a destination: address translation (-m), direct routing (-g) or a tunnel (-i). */
export type ForwardingMethodName = 'nat' | 'dr' | 'tunnel';

/**
 * How packets of a connection are sent: by the destination's method, or to the local stack ("Local" in
 * ipvsadm).
 */
export type ConnectionMethod = ForwardingMethodName | 'local';

export interface TunnelOptions {
  readonly type: 'ipip' | 'gue' | 'gre';
  /** UDP port of GUE; 0 otherwise. */
  readonly port: number;
  /** csum: an outer checksum; remcsum: remote checksum offload (GUE only). */
  readonly checksum: 'none' | 'csum' | 'remcsum';
}

/** A destination's address in commands and snapshots. */
export interface DestinationAddress {
  readonly address: string;
  readonly port: number;
}

/** Options of -a and -e; a missing field has ipvsadm's default. */
export interface DestinationOptions {
  readonly method: ForwardingMethodName;
  /** 0: quiesced. Default 1. */
  readonly weight?: number;
  /** Number of connections at which the destination is overloaded; 0: never. */
  readonly upperThreshold?: number;
  /** Number of connections below which the overload ends; 0: three quarters of the upper threshold. */
  readonly lowerThreshold?: number;
  readonly tunnel?: TunnelOptions;
}

/** Reports whether a destination accepts new connections: its weight is above 0, and it is not overloaded. */
export const acceptsConnections = ({
  weight,
  overloaded,
}: Pick<Destination, 'weight' | 'overloaded'>): boolean => weight > 0 && !overloaded;

/** A destination at run time, as schedulers and forwarding methods see it. */
export interface Destination {
  readonly address: Address;
  readonly port: number;
  readonly method: ForwardingMethodName;
  readonly tunnel: TunnelOptions;
  readonly weight: number;
  /** The weight before it was set to 0; mh builds its table from it. */
  readonly lastWeight: number;
  /**
   * Numbers of connections as ip_vs_dest of the kernel counts them: activeconns, inactconns, persistconns.
   */
  readonly activeConnections: number;
  readonly inactiveConnections: number;
  readonly persistentConnections: number;
  /** Exceeded its upper threshold, and is not yet below the lower one: receives no new connections. */
  readonly overloaded: boolean;
  readonly counters: Counters;
}

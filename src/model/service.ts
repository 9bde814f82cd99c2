/** A virtual service: the address that clients connect to, and how destinations are selected. */
import type { Address } from '../wire/address.ts';
import { TCP } from '../wire/tcp.ts';
import type { Counters } from './counters.ts';
import type { Destination } from './destination.ts';

/** Control and data ports of FTP (RFC 959). */
export const FTP_PORT = 21;
export const FTP_DATA_PORT = 20;

export type Protocol = 'tcp' | 'udp' | 'sctp';

/** A service's address in commands and snapshots: an address with a port, or a firewall mark. */
export type ServiceAddress =
  | { readonly protocol: Protocol; readonly address: string; readonly port: number }
  | { readonly mark: number; readonly family: 4 | 6 };

/** Reports whether it is the address of control connections of FTP. */
export const isFtpService = (service: ServiceAddress): boolean =>
  'protocol' in service && service.protocol === 'tcp' && service.port === FTP_PORT;

/** Options of -A and -E; a missing field has ipvsadm's default. */
export interface ServiceOptions {
  readonly scheduler: string;
  /** Bit 0 is flag-1 (sh-fallback, mh-fallback), bit 1 flag-2 (sh-port, mh-port), bit 2 flag-3. */
  readonly schedulerFlags?: number;
  /** Persistence timeout in seconds; missing or 0: not persistent. */
  readonly persistent?: number;
  /** Persistence granularity: leading bits of the client's address; missing: all bits. */
  readonly persistencePrefix?: number;
  /** Replaces `persistencePrefix` for an IPv4 mask whose ones do not lead, such as 0.0.0.24. */
  readonly persistenceMask?: string;
  /** Persistence engine: 'sip'. */
  readonly engine?: string;
  /** One-packet scheduling. */
  readonly ops?: boolean;
  /** What translates the addresses that connections with NAT contain; missing: 'ftp' for TCP and port 21. */
  readonly helper?: Helper;
}

/** What translates addresses in connections, see `hasFtpHelper`. */
export type Helper = 'ftp' | 'none';

/** Reports whether connections of the service with NAT are control connections of FTP, whose addresses are translated. */
export const hasFtpHelper = (service: {
  readonly protocol: number;
  readonly port: number;
  readonly options: Pick<ServiceOptions, 'helper'>;
}): boolean => service.protocol === TCP && service.port === FTP_PORT && service.options.helper !== 'none';

/** A virtual service at run time. */
export interface VirtualService {
  /** IP protocol number; 0 for a firewall-mark service. */
  readonly protocol: number;
  readonly family: 4 | 6;
  /** All zero for a firewall-mark service. */
  readonly address: Address;
  readonly port: number;
  /** Firewall mark; 0: none. */
  readonly mark: number;
  options: ServiceOptions;
  /** Newest first, as the kernel iterates them. */
  readonly destinations: readonly Destination[];
  readonly counters: Counters;
}

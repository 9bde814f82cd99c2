/** Commands to a director; configuration files, `ipvsadm` and `ipvsadm -R` all produce these. Plain JSON. */
import type { DestinationAddress, DestinationOptions } from './destination.ts';
import type { Protocol, ServiceAddress, ServiceOptions } from './service.ts';
import type { SettingName, Timeouts } from './settings.ts';
import type { VrrpInstance } from './vrrp.ts';

/** A rule that sets the firewall mark of packets, for a host without a firewall. The first match wins. */
export interface MarkRule {
  readonly mark: number;
  /** Destination address or prefix, such as 10.8.0.0/16; missing: any address of any family. */
  readonly to?: string;
  readonly from?: string;
  readonly protocol?: Protocol | 'icmp' | 'icmpv6';
  /** One port, or an inclusive range. */
  readonly port?: number | readonly [first: number, last: number];
}

/** The kernel's sync daemon; at most one of each role exists. */
export interface SyncDaemon {
  readonly role: 'master' | 'backup';
  /** 0..255; a backup with 0 accepts every id. */
  readonly syncId: number;
  readonly interface: string;
  /** Bytes; 0: derived from the interface's MTU. */
  readonly maxLength?: number;
  readonly group?: string;
  readonly port?: number;
  readonly ttl?: number;
}

export type Command =
  | {
      readonly op: 'add-service' | 'edit-service';
      readonly service: ServiceAddress;
      readonly options: ServiceOptions;
    }
  | { readonly op: 'delete-service'; readonly service: ServiceAddress }
  | {
      readonly op: 'add-destination' | 'edit-destination';
      readonly service: ServiceAddress;
      readonly destination: DestinationAddress;
      readonly options: DestinationOptions;
    }
  | {
      readonly op: 'delete-destination';
      readonly service: ServiceAddress;
      readonly destination: DestinationAddress;
    }
  | { readonly op: 'flush' }
  | { readonly op: 'zero'; readonly service?: ServiceAddress }
  | { readonly op: 'set-timeouts'; readonly timeouts: Timeouts }
  | { readonly op: 'set'; readonly name: SettingName; readonly value: number }
  | { readonly op: 'set-marks'; readonly rules: readonly MarkRule[] }
  | { readonly op: 'start-daemon'; readonly daemon: SyncDaemon }
  | { readonly op: 'stop-daemon'; readonly role: 'master' | 'backup' }
  /** A report of keepalived. `at`: a time of any unit, which orders the reports of an instance. */
  | { readonly op: 'notify'; readonly instance: VrrpInstance; readonly at: number };

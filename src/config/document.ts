/** What a configuration file says, whatever its syntax: the cluster that the director and its real servers are to be. */
import type { Check } from '../model/check.ts';
import type { MarkRule } from '../model/command.ts';
import type { DestinationAddress, DestinationOptions, ForwardingMethodName } from '../model/destination.ts';
import type { ServiceAddress, ServiceOptions } from '../model/service.ts';
import type { Settings, Timeouts } from '../model/settings.ts';

/** An address of a host with the device that carries it. */
export interface Interface {
  /** Without its alias: eth0. */
  readonly device: string;
  /** The old label of an alias, such as 101 in eth0:101. */
  readonly alias?: string;
  readonly address: string;
  /** Leading bits of the network that the address is in. */
  readonly prefix: number;
  /** A VIP that several hosts have on purpose. */
  readonly isShared?: boolean;
}

export interface DestinationDocument {
  /** As the file names it: rs1. */
  readonly name: string;
  readonly destination: DestinationAddress;
  readonly options: DestinationOptions;
}

export interface ServiceDocument {
  readonly service: ServiceAddress;
  readonly options: ServiceOptions;
  readonly check?: Check;
  readonly destinations: readonly DestinationDocument[];
}

export interface Document {
  readonly method: ForwardingMethodName;
  /** False: a standby, whose director takes no VIP and has no rules. */
  readonly active: boolean;
  readonly vips: readonly Interface[];
  readonly director: {
    /** The director's own address on the real servers' side (DIP). */
    readonly inside?: Interface;
    readonly gateway?: string;
  };
  readonly realServers: {
    /** Where a real server of dr or tunnel keeps the VIP. */
    readonly vipDevice?: string;
    readonly netDevice?: string;
    /** 'client': the client itself is on the segment. */
    readonly gateway?: string;
  };
  readonly settings: Readonly<Partial<Settings>>;
  /** 0, or missing: as it is. */
  readonly timeouts: Partial<Timeouts>;
  readonly marks: readonly MarkRule[];
  /** What a reload does with rules set by hand. */
  readonly adopt: 'keep' | 'replace';
  /** Most seconds that a removed destination keeps its connections. */
  readonly drain: number;
  readonly services: readonly ServiceDocument[];
}

/** Defaults of what a file need not say. */
export const DEFAULT_DRAIN = 300;
export const DEFAULT_CHECK = {
  interval: 5,
  timeout: 3,
  fall: 2,
  rise: 2,
  maxStep: 20,
  slowStart: 0,
} as const;

/** What a file says that says nothing. */
export const EMPTY_DOCUMENT: Document = {
  method: 'dr',
  active: true,
  vips: [],
  director: {},
  realServers: {},
  settings: {},
  timeouts: {},
  marks: [],
  adopt: 'keep',
  drain: DEFAULT_DRAIN,
  services: [],
};

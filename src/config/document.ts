/** The content of a configuration file, whatever its syntax: the desired director and real servers. */
import type { VipGroup } from '../model/announcement.ts';
import type { Check } from '../model/check.ts';
import type { MarkRule, SyncDaemon } from '../model/command.ts';
import type { DestinationAddress, DestinationOptions, ForwardingMethodName } from '../model/destination.ts';
import type { NlbCluster } from '../model/nlb.ts';
import type { Notify } from '../model/notify.ts';
import type { ServiceAddress, ServiceOptions } from '../model/service.ts';
import type { Settings, Timeouts } from '../model/settings.ts';
import type { AccessListDocument } from './access-list.ts';

/** An address of a host, and its device. */
export interface Interface {
  /** Without the label's suffix: eth0. */
  readonly device: string;
  /** The label's suffix, such as 101 in eth0:101. */
  readonly alias?: string;
  readonly address: string;
  /** Prefix length of the address's network. */
  readonly prefix: number;
  /** A VIP that several hosts have on purpose. */
  readonly isShared?: boolean;
}

export interface DestinationDocument {
  /** The server as the file has it: rs1, or its address. */
  readonly server: string;
  /** Its name in outputs, if the file has one. */
  readonly name?: string;
  readonly destination: DestinationAddress;
  readonly options: DestinationOptions;
  /** All of them must pass. Missing: the destination is not checked. */
  readonly checks?: readonly Check[];
  /**
   * Whether it stays in the rules with weight 0 while it is out of service. Missing: true; false for sorry servers.
   */
  readonly inhibit?: boolean;
  /** Programs for changes of this destination, instead of those of its service. */
  readonly notify?: Notify;
}

export interface ServiceDocument {
  readonly service: ServiceAddress;
  /** Its name in outputs. */
  readonly name?: string;
  readonly options: ServiceOptions;
  readonly destinations: readonly DestinationDocument[];
  /** Used while the quorum is lost. */
  readonly sorry?: readonly DestinationDocument[];
  /** Sum of weights that the destinations must have. Missing: any. */
  readonly quorum?: { readonly weight: number; readonly hysteresis: number };
  readonly notify?: Notify;
  /** Clients that may not use it, and those that may in any case. */
  readonly deny?: AccessListDocument;
  readonly allow?: AccessListDocument;
  /** Missing: no server may join. */
  readonly join?: ServiceJoinDocument;
}

/** Limits of servers that join a service. */
export interface JoinLimits {
  readonly maxServers: number;
  readonly maxWeight: number;
  /** Seconds. */
  readonly slowStart: number;
}

export interface ServiceJoinDocument extends JoinLimits {
  /** Of the destinations that join. */
  readonly options: DestinationOptions;
  readonly checks?: readonly Check[];
}

/** Which servers may join, and how their heartbeats are received; times in ms. */
export interface JoinDocument {
  /** Device and key file of heartbeats, both or neither. Missing: servers join by etcd alone. */
  readonly device?: string;
  readonly keyFile?: string;
  readonly group: string;
  readonly port: number;
  /** Time between two heartbeats. */
  readonly period: number;
  readonly timeout: number;
  /** Prefixes of the servers' addresses. Missing: the networks of the device. */
  readonly networks?: readonly string[];
  readonly maxServers: number;
}

/** Synchronization of connections with other directors. */
export interface SyncDocument {
  readonly role: SyncDaemon['role'] | 'both';
  /** What the daemons of all roles have. */
  readonly daemon: Omit<SyncDaemon, 'role'>;
  /** Path of the file with the keys that authenticate messages. */
  readonly keyFile?: string;
  /** Addresses of the directors, for bulk transfers; those of this host may be among them. */
  readonly peers: readonly string[];
  /** TCP port of bulk transfers. */
  readonly bulkPort: number;
}

/** Connections that other directors have scheduled. */
export interface TakeoverDocument {
  /** Seconds for which earlier lists of servers select their server; 0: never. */
  readonly history: number;
  /** Percent of the table up to which they are taken over. */
  readonly share: number;
}

/** Announcement of VIPs to routers. */
export interface AnnounceDocument {
  /** Canonical addresses; missing: those of all services. */
  readonly vips?: readonly string[];
  /** VIPs that some directors of a cluster announce; missing: every director announces all. */
  readonly groups?: readonly VipGroup[];
  /** Seconds for which a VIP must be ready before it is announced. */
  readonly rise: number;
  /** Missing: the director does not talk to BIRD. */
  readonly bird?: BirdDocument;
}

/** Absolute paths: BIRD's control socket, and the file that the director writes and bird.conf includes. */
export interface BirdDocument {
  readonly socket: string;
  readonly file: string;
}

export interface Document {
  readonly method: ForwardingMethodName;
  /** False: a standby, whose director has neither VIP nor rules. */
  readonly active: boolean;
  readonly vips: readonly Interface[];
  readonly director: {
    /** The director's address in the network of the real servers (DIP). */
    readonly inside?: Interface;
    readonly gateway?: string;
  };
  readonly realServers: {
    /** Device that has the VIP on a real server of dr or tunnel. */
    readonly vipDevice?: string;
    readonly netDevice?: string;
    /** 'client': the client is on the segment. */
    readonly gateway?: string;
  };
  readonly settings: Readonly<Partial<Settings>>;
  /** 0, or missing: unchanged. */
  readonly timeouts: Partial<Timeouts>;
  readonly marks: readonly MarkRule[];
  readonly sync?: SyncDocument;
  readonly join?: JoinDocument;
  readonly announce?: AnnounceDocument;
  /** Missing: as the kernel does. */
  readonly takeover?: TakeoverDocument;
  /** Servers that share addresses without a director (mode: nlb). */
  readonly cluster?: NlbCluster;
  /** Whether a reload keeps or replaces rules that were added with ipvsadm. */
  readonly adopt: 'keep' | 'replace';
  /** User and group of programs for events, as `user` or `user:group`. Missing: those of the director. */
  readonly scriptUser?: string;
  /** Seconds after which a removed destination's connections end. */
  readonly drain: number;
  readonly restart: RestartDocument;
  /** Clients that may use no service, and those that may in any case. */
  readonly deny?: AccessListDocument;
  readonly allow?: AccessListDocument;
  readonly services: readonly ServiceDocument[];
}

/** What happens while no director runs; times in seconds. */
export interface RestartDocument {
  /** A signal leaves the kernel path, the guard and the VIPs to the next director. */
  readonly keep: boolean;
  /** Time after which programs admit no new connection. */
  readonly orphan: number;
  /** Time after which they forward nothing. */
  readonly release: number;
}

/** Defaults of optional keys. */
export const DEFAULT_DRAIN = 300;
export const DEFAULT_BULK_PORT = 8849;
export const DEFAULT_TAKEOVER: TakeoverDocument = { history: 300, share: 75 };
export const DEFAULT_JOIN = {
  group: '224.0.0.81',
  port: 8850,
  period: 500,
  timeout: 3000,
  maxServers: 256,
} as const satisfies Partial<JoinDocument>;
export const DEFAULT_SERVICE_JOIN: JoinLimits = { maxServers: 256, maxWeight: 100, slowStart: 10 };
export const DEFAULT_RISE = 2;
export const DEFAULT_BIRD: BirdDocument = {
  socket: '/run/bird/bird.ctl',
  file: '/run/lvs/announce.conf',
};
export const DEFAULT_RESTART: RestartDocument = { keep: false, orphan: 60, release: 600 };
/** Any destination with a weight suffices. */
export const DEFAULT_QUORUM = 1;
export const DEFAULT_CHECK = {
  interval: 5,
  timeout: 3,
  fall: 2,
  rise: 2,
  maxStep: 20,
  slowStart: 0,
} as const;

/** The document of an empty file. */
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
  restart: DEFAULT_RESTART,
  services: [],
};

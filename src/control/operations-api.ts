/** The part of a director's interface by which operators change its work until they end the change. */

import type { AnnouncementListing } from '../model/announcement.ts';
import type { JoinedPlace } from '../model/joined.ts';
import type { ServiceAddress } from '../model/service.ts';

/** A drained server. */
export interface DrainedServer {
  /** An address, or an address and port. */
  readonly server: string;
  /** Names of the services that have it. */
  readonly services: readonly string[];
  /** Its connections, but for those that are over. */
  readonly connections: number;
  /** Persistence templates by which it still receives new connections. */
  readonly templates: number;
  /** Names of the services that refuse clients for which their scheduler selects it. */
  readonly refusing: readonly string[];
}

/** What is to be denied. */
export interface DenyRequest {
  /** An address or a prefix. */
  readonly address: string;
  /** Missing: for all services. */
  readonly service?: ServiceAddress;
  /** Missing: until undeny. */
  readonly seconds?: number;
  /** Connections that exist go on. */
  readonly newOnly?: true;
}

/** An entry of the deny list that a command made. */
export interface DeniedClient {
  /** An address, or a prefix. */
  readonly prefix: string;
  /** Name of the service; missing: all. */
  readonly service?: string;
  /** Seconds until its end; missing: until undeny. */
  readonly left?: number;
  readonly newOnly?: true;
  /** Connections that the command ended. */
  readonly ended?: number;
  /** The entry of an allow list that makes this one ineffective. */
  readonly allowedBy?: string;
}

/** The deny and allow lists. */
export interface DenyListing {
  readonly commanded: readonly DeniedClient[];
  /** Entries of the configuration, by the name of the list. */
  readonly lists: Readonly<Record<string, number>>;
}

export interface OperationsApi {
  /** Drains a server in all services. Throws LvsError if no service has it. */
  drain(server: string): Promise<DrainedServer>;
  /** Ends the drain of a server. Throws LvsError if it is not drained. */
  undrain(server: string): Promise<DrainedServer>;
  drained(): Promise<readonly DrainedServer[]>;
  /** Denies an address or a prefix. Throws LvsError. */
  deny(request: DenyRequest): Promise<DeniedClient>;
  /** Ends what a command denied. `service`: that of the command. Throws LvsError. */
  undeny(address: string, service: ServiceAddress | undefined): Promise<DeniedClient>;
  denied(): Promise<DenyListing>;
  /** Announces the VIPs that are ready, again. Throws LvsError if the file configures no announcements. */
  announce(): Promise<AnnouncementListing>;
  /** Withdraws all VIPs until `announce`. Throws LvsError if the file configures no announcements. */
  withdraw(): Promise<AnnouncementListing>;
  announcements(): Promise<AnnouncementListing>;
  /** Resolves with the destinations whose servers have joined by themselves. */
  joined(): Promise<readonly JoinedPlace[]>;
}

/** What the director would do with a packet, and why, step by step. Plain JSON. */
import type { ListKind } from './access-list.ts';
import type { ClusterGeneration } from './cluster.ts';
import type { ConnectionMethod, DestinationAddress, ForwardingMethodName } from './destination.ts';
import type { FtpEvent } from './ftp.ts';
import type { Admission } from './kernel-admission.ts';
import type { ServiceAddress } from './service.ts';
import type { ConnectionSnapshot } from './snapshot.ts';
import type { Verdict } from './verdict.ts';

/** A destination as the scheduler saw it. */
export interface Candidate extends DestinationAddress {
  /** Its name in the configuration. */
  readonly name?: string;
  readonly method: ForwardingMethodName;
  readonly weight: number;
  readonly activeConnections: number;
  readonly inactiveConnections: number;
  readonly taken: boolean;
  /** Why it was selected, or not. */
  readonly why: string;
}

export interface NearMiss {
  readonly service: ServiceAddress;
  readonly name?: string;
  /** Why the packet does not match it. */
  readonly why: string;
}

export type Step =
  /** The mark that the rules set; 0: no rule matched. */
  | { readonly step: 'mark'; readonly mark: number }
  /** The connection or template that the packet belongs to. */
  | {
      readonly step: 'found';
      readonly what: 'connection' | 'template';
      readonly connection: ConnectionSnapshot;
      /** The packet comes from the connection's client. */
      readonly fromClient: boolean;
    }
  /** The entry of a deny or allow list that decides about the client. */
  | {
      readonly step: 'access';
      readonly list: ListKind;
      readonly prefix: string;
      /** Missing: the list of all services. */
      readonly service?: ServiceAddress;
      /** Where the entry is from: a file, or a command. */
      readonly source?: string;
      /** Whole seconds until the entry ends. */
      readonly left?: number;
    }
  /** A template whose destination is not usable. */
  | { readonly step: 'template-given-up' }
  /** The service that the packet is for; missing: the packet is left to the host. */
  | {
      readonly step: 'service';
      readonly service?: ServiceAddress;
      /** Its name in the configuration. */
      readonly name?: string;
      readonly near: readonly NearMiss[];
      /** False: the packet matches the service but does not begin a connection, so it was not scheduled. */
      readonly asked: boolean;
      /** What admits new connections of the service; missing without a kernel path. */
      readonly admission?: Admission;
    }
  | {
      readonly step: 'scheduler';
      readonly scheduler: string;
      /** How the scheduler selects. */
      readonly rule: string;
      readonly candidates: readonly Candidate[];
      /** Number of destinations that are not listed. */
      readonly more: number;
      /** Another director has scheduled the connection: earlier lists of destinations were asked, too. */
      readonly isTakenOver?: boolean;
      readonly chosen?: DestinationAddress;
    }
  | {
      readonly step: 'made';
      readonly what: 'connection' | 'template';
      readonly destination: DestinationAddress;
      readonly method: ConnectionMethod;
    }
  /** What was done for an FTP control connection. */
  | ({ readonly step: 'ftp' } & FtpEvent)
  /** The packet sent, as a packet line, and its next hop. */
  | { readonly step: 'sent'; readonly packet: string; readonly nextHop: string };

export interface Explanation {
  /** As a packet line. */
  readonly packet: string;
  readonly steps: readonly Step[];
  readonly verdict: Verdict;
  /** Why the packet does not decode; missing when it does. */
  readonly error?: string;
  /** The configuration that decides; missing: the director has no cluster. */
  readonly cluster?: ClusterGeneration;
}

/** What would become of a packet, and why: the steps of its path as it would go now. Plain JSON. */
import type { ConnectionMethod, DestinationAddress, ForwardingMethodName } from './destination.ts';
import type { ServiceAddress } from './service.ts';
import type { ConnectionSnapshot } from './snapshot.ts';
import type { Verdict } from './verdict.ts';

/** A destination as the scheduler saw it. */
export interface Candidate extends DestinationAddress {
  readonly method: ForwardingMethodName;
  readonly weight: number;
  readonly activeConnections: number;
  readonly inactiveConnections: number;
  readonly taken: boolean;
  /** Why it was taken or not. */
  readonly why: string;
}

export interface NearMiss {
  readonly service: ServiceAddress;
  /** What keeps it from being the packet's. */
  readonly why: string;
}

export type Step =
  /** What the mark rules gave it; 0: none of them matched. */
  | { readonly step: 'mark'; readonly mark: number }
  /** The connection or the template it belongs to. */
  | {
      readonly step: 'found';
      readonly what: 'connection' | 'template';
      readonly connection: ConnectionSnapshot;
      /** The packet comes from the connection's client. */
      readonly fromClient: boolean;
    }
  /** A template whose destination cannot be used. */
  | { readonly step: 'template-given-up' }
  /** The service it is for; without one it is none of the director's business. */
  | {
      readonly step: 'service';
      readonly service?: ServiceAddress;
      readonly near: readonly NearMiss[];
      /** False: it would be that one's, but nobody asked, for it does not begin a connection. */
      readonly asked: boolean;
    }
  | {
      readonly step: 'scheduler';
      readonly scheduler: string;
      /** How it chooses. */
      readonly rule: string;
      readonly candidates: readonly Candidate[];
      /** Destinations that are not listed. */
      readonly more: number;
      readonly chosen?: DestinationAddress;
    }
  | {
      readonly step: 'made';
      readonly what: 'connection' | 'template';
      readonly destination: DestinationAddress;
      readonly method: ConnectionMethod;
    }
  /** What is sent, as a packet line, and whereto. */
  | { readonly step: 'sent'; readonly packet: string; readonly nextHop: string };

export interface Explanation {
  /** As a packet line. */
  readonly packet: string;
  readonly steps: readonly Step[];
  readonly verdict: Verdict;
}

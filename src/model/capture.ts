/** Packets of one service before and after forwarding, as the control socket sends them. Plain JSON. */
import type { Verdict } from './verdict.ts';

export interface CapturedPacket {
  /** When the packet arrived, ms since 1970. */
  readonly at: number;
  /** The IP packet as received, base64. */
  readonly octets: string;
  readonly verdict: Verdict;
  /** The packet's connection after forwarding, as text; missing: it belongs to none. */
  readonly connection?: string;
  /** The packets that were sent in consequence, base64, and their next hops. */
  readonly sent: readonly { readonly octets: string; readonly nextHop: string }[];
}

export interface CapturedPackets {
  readonly packets: readonly CapturedPacket[];
  /** Packets discarded since the last report because the buffer was full. */
  readonly missed: number;
}

/** Packets of one service before and after forwarding, as they are told over the control socket. Plain JSON. */
import type { Verdict } from './verdict.ts';

export interface CapturedPacket {
  /** When it came, ms since 1970. */
  readonly at: number;
  /** The IP packet as it came, base64. */
  readonly octets: string;
  readonly verdict: Verdict;
  /** Its connection after it, in words; missing: it has none. */
  readonly connection?: string;
  /** What was sent because of it, base64, and the next hop. */
  readonly sent: readonly { readonly octets: string; readonly nextHop: string }[];
}

export interface CapturedPackets {
  readonly packets: readonly CapturedPacket[];
  /** Packets since the last ones that there was no room for. */
  readonly missed: number;
}

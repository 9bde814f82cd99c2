/** Decapsulates tunnel packets without the kernel's tunnel device, and sends the inner packets to the VIP. */
import { type Address, formatAddress, isV4, sameAddress } from '../../wire/address.ts';
import { CE, ECN_MASK } from '../../wire/ecn.ts';
import type { Frame } from '../../wire/frame.ts';
import { ipv4, isIpv4 } from '../../wire/ipv4.ts';
import { IPV6_HEADER, ipv6, isIpv6 } from '../../wire/ipv6.ts';
import { completeInner } from './encapsulation.ts';

/** Returns the offset of the payload of the IPv4 packet in the frame; -1 if there is none. */
export const insideIpv4 = (frame: Frame): number =>
  isIpv4(frame, frame.start) ? frame.start + ipv4.headerLength(frame, frame.start) : -1;

/** Reports whether the IPv4 packet in the frame has a congestion mark. */
export const isCongested = (frame: Frame): boolean => (ipv4.tos(frame, frame.start) & ECN_MASK) === CE;

/** Sends an IP packet, header included, to the host itself. */
export interface Sender {
  send(bytes: Uint8Array, offset: number, length: number, to: string): boolean;
}

export interface DecapCounts {
  decapsulated: number;
  /** Packets that are not for a VIP, or not IP. */
  refused: number;
  /** Packets that the kernel refused. */
  lost: number;
}

export interface DecapOptions {
  /** Packets to other addresses are refused. */
  readonly vips: readonly Address[];
  readonly senders: { readonly 4?: Sender; readonly 6?: Sender };
  readonly counts: DecapCounts;
}

/**
 * Handles a frame whose inner packet begins at `at`; negative if it has none. `congested`: the outer header had a
 * congestion mark. RFC 2003, RFC 2473.
 */
export type Decapsulate = (frame: Frame, at: number, congested: boolean) => void;

export function decapsulator({ vips, senders, counts }: DecapOptions): Decapsulate {
  const four = vips.filter(isV4).map((vip) => ({ word: vip[3]! | 0, text: formatAddress(vip) }));
  const six = vips.filter((vip) => !isV4(vip)).map((vip) => ({ vip, text: formatAddress(vip) }));
  const destination: Address = new Uint32Array(4);

  /** Returns the VIP that the packet at `at` is addressed to; undefined for another address or another protocol. */
  function vipOf(frame: Frame, at: number): string | undefined {
    if (isIpv4(frame, at)) {
      const word = ipv4.dst(frame, at);
      for (const each of four) if (each.word === word) return each.text;
    } else if (isIpv6(frame, at)) {
      ipv6.readDst(frame, at, destination);
      for (const each of six) if (sameAddress(each.vip, destination)) return each.text;
    }
    return undefined;
  }

  return (frame, at, congested) => {
    const to = at < 0 ? undefined : vipOf(frame, at);
    if (to === undefined || (congested && !markCongestion(frame, at))) {
      counts.refused++;
      return;
    }
    completeInner(frame, at);
    const version = ipv4.version(frame, at) as 4 | 6;
    if (senders[version]?.send(frame.bytes, at, lengthOf(frame, at), to)) counts.decapsulated++;
    else counts.lost++;
  };
}

const lengthOf = (frame: Frame, at: number): number =>
  ipv4.version(frame, at) === 4 ? ipv4.totalLength(frame, at) : IPV6_HEADER + ipv6.payloadLength(frame, at);

/**
 * Copies the outer header's congestion mark to the inner packet (RFC 6040 section 4.2). Returns false if the inner
 * packet's sender does not support ECN, so that the packet must be dropped.
 */
function markCongestion(frame: Frame, at: number): boolean {
  if (ipv4.version(frame, at) === 4) {
    const tos = ipv4.tos(frame, at);
    if ((tos & ECN_MASK) === 0) return false;
    ipv4.setTos(frame, at, tos | CE);
  } else {
    const trafficClass = ipv6.trafficClass(frame, at);
    if ((trafficClass & ECN_MASK) === 0) return false;
    ipv6.setTrafficClass(frame, at, trafficClass | CE);
  }
  return true;
}

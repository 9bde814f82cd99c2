/** Builds the frames that announce or probe an address on a link, and reads which address a received frame claims. */
import { type Address, ANY4, ANY6, addressFromV4, isV4 } from '../wire/address.ts';
import { ARP_LENGTH, arp, isArp } from '../wire/arp.ts';
import {
  BROADCAST_MAC,
  ETHERNET_HEADER,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV6,
  ethernet,
  type MacAddress,
} from '../wire/ethernet.ts';
import type { Frame } from '../wire/frame.ts';
import { ICMP6 } from '../wire/icmp6.ts';
import { IPV6_HEADER, ipv6 } from '../wire/ipv6.ts';
import {
  ADVERTISEMENT_LENGTH,
  ALL_NODES,
  groupMac,
  isNdp,
  NDP_HOP_LIMIT,
  NDP_LENGTH,
  ndp,
  solicitedNode,
} from '../wire/ndp.ts';

/**
 * Writes a gratuitous ARP request (RFC 5227 section 2.3) or an unsolicited neighbor advertisement (RFC 4861 section
 * 7.2.6) into `frame`. `isRouter`: the host forwards IPv6.
 */
export function writeAnnouncement(frame: Frame, mac: MacAddress, vip: Address, isRouter: boolean): void {
  if (isV4(vip)) {
    const at = writeEthernet(frame, BROADCAST_MAC, mac, ETHERTYPE_ARP, ARP_LENGTH);
    arp.writeRequest(frame, at, mac, vip, vip);
    return;
  }
  const bytes = IPV6_HEADER + ADVERTISEMENT_LENGTH;
  const at = writeEthernet(frame, groupMac(ALL_NODES), mac, ETHERTYPE_IPV6, bytes);
  writeIpv6(frame, at, ADVERTISEMENT_LENGTH, vip, ALL_NODES);
  ndp.writeAnnouncement(frame, at + IPV6_HEADER, mac, vip, isRouter);
}

/** Writes an ARP probe (RFC 5227 section 2.1.1) or the probe of duplicate address detection (RFC 4862 section 5.4.2). */
export function writeProbe(frame: Frame, mac: MacAddress, vip: Address): void {
  if (isV4(vip)) {
    const at = writeEthernet(frame, BROADCAST_MAC, mac, ETHERTYPE_ARP, ARP_LENGTH);
    arp.writeRequest(frame, at, mac, ANY4, vip);
    return;
  }
  const group = solicitedNode(vip);
  const at = writeEthernet(frame, groupMac(group), mac, ETHERTYPE_IPV6, IPV6_HEADER + NDP_LENGTH);
  writeIpv6(frame, at, NDP_LENGTH, ANY6, group);
  ndp.writeProbe(frame, at + IPV6_HEADER, vip);
}

/** Writes the IPv6 header of a message of neighbor discovery. `payloadLength`: bytes. */
function writeIpv6(frame: Frame, at: number, payloadLength: number, src: Address, dst: Address): void {
  ipv6.write(frame, at, { payloadLength, nextHeader: ICMP6, hopLimit: NDP_HOP_LIMIT, src, dst });
}

/** An address that a host of the link has, by its own statement. */
export interface AddressClaim {
  readonly address: Address;
  readonly mac: MacAddress;
}

/**
 * Returns the claim of a frame that was received: the sender of an ARP message, the target of a neighbor advertisement.
 * Undefined for every other frame, and for a probe, which claims nothing.
 */
export function claimOf(frame: Frame): AddressClaim | undefined {
  const { start, end, bytes } = frame;
  const at = start + ETHERNET_HEADER;
  if (end < at) return undefined;
  const type = ethernet.etherType(frame, start, ETHERNET_HEADER);
  if (type === ETHERTYPE_ARP) {
    if (!isArp(frame, at, end)) return undefined;
    const sender = arp.senderIp(frame, at);
    return sender === 0
      ? undefined
      : { address: addressFromV4(sender >>> 0), mac: macAt(bytes, arp.senderMac(at)) };
  }
  const message = at + IPV6_HEADER;
  if (type !== ETHERTYPE_IPV6 || !isNdp(frame, message, end)) return undefined;
  const address: Address = new Uint32Array(4);
  ndp.readTarget(frame, message, address);
  const given = ndp.macOffset(frame, message, end);
  return { address, mac: macAt(bytes, given < 0 ? ethernet.src(start) : given) };
}

const macAt = (bytes: Uint8Array<ArrayBuffer>, at: number): MacAddress => bytes.slice(at, at + 6);

/** Writes the Ethernet header and sets the frame's end; returns the offset of what follows. */
function writeEthernet(
  frame: Frame,
  dst: MacAddress,
  src: MacAddress,
  type: number,
  payloadBytes: number,
): number {
  ethernet.write(frame, frame.start, dst, 0, src, type);
  const at = frame.start + ETHERNET_HEADER;
  frame.end = at + payloadBytes;
  return at;
}

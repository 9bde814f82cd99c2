/** The filter of the socket that receives merged packets: what exceeds the link, and UDP whose size may be of several. */
import {
  ADD_X,
  AND_K,
  classicFilter,
  type FilterPart,
  ifEqual,
  ifEqualX,
  ifGreater,
  LD_B_ABS,
  LD_H_ABS,
  LD_H_IND,
  LD_LEN,
  LD_MEM,
  LD_W_ABS,
  LDX_MEM,
  LDX_MSH,
  PACKET_TYPE,
  RSH_K,
  ST,
  SUB_X,
  TAX,
  VLAN_TAG,
  VLAN_TAG_PRESENT,
} from '../sys/classic-filter.ts';
import type { FilterInstruction } from '../sys/packet-socket.ts';
import { ETHERNET_HEADER, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../wire/ethernet.ts';
import { IPV6_HEADER } from '../wire/ipv6.ts';
import { UDP, UDP_CHECKSUM, UDP_HEADER } from '../wire/udp.ts';

/** PACKET_HOST of packet(7): addressed to this host. */
const PACKET_HOST = 0;
const VLAN_ID = 0x0fff;
/** Offsets from the first byte of the frame. */
const ETHERTYPE = 12;
const IPV4_FRAGMENT = ETHERNET_HEADER + 6;
const IPV4_PROTOCOL = ETHERNET_HEADER + 9;
const IPV4_SOURCE = ETHERNET_HEADER + 12;
const IPV4_TOTAL_LENGTH = ETHERNET_HEADER + 2;
const IPV6_PAYLOAD_LENGTH = ETHERNET_HEADER + 4;
const IPV6_NEXT_HEADER = ETHERNET_HEADER + 6;
const IPV6_SOURCE = ETHERNET_HEADER + 8;
/** MF and the fragment offset. */
const FRAGMENT_BITS = 0x3fff;

/* Words of the filter's scratch memory. */
const SUM = 0;
const EXPECTED = 1;

/**
 * Accepts packets to this host that are longer than `longest` bytes, header included, and shorter UDP datagrams whose
 * checksum is partial: a sender's kernel may have merged several into one (UDP_SEGMENT), which only the segment size in
 * the virtio header tells. `mayBeMergedDatagram` is true for the same datagrams.
 */
export const mergedFilter = (longest: number): FilterInstruction[] =>
  classicFilter([
    [LD_W_ABS, PACKET_TYPE],
    ifEqual(PACKET_HOST, undefined, 'drop'),
    [LD_W_ABS, VLAN_TAG_PRESENT],
    ifEqual(0, 'untagged'),
    [LD_W_ABS, VLAN_TAG],
    [AND_K, VLAN_ID],
    ifEqual(0, undefined, 'drop'),
    'untagged',
    [LD_H_ABS, ETHERTYPE],
    ifEqual(ETHERTYPE_IPV6, 'ipv6'),
    ifEqual(ETHERTYPE_IPV4, undefined, 'drop'),
    [LD_LEN],
    ifGreater(longest, 'accept'),
    [LD_B_ABS, IPV4_PROTOCOL],
    ifEqual(UDP, undefined, 'drop'),
    [LD_H_ABS, IPV4_FRAGMENT],
    [AND_K, FRAGMENT_BITS],
    ifEqual(0, undefined, 'drop'),
    // Length of the datagram: the total length less the header's.
    [LDX_MSH, ETHERNET_HEADER],
    [LD_H_ABS, IPV4_TOTAL_LENGTH],
    [SUB_X],
    ...pseudoSum(IPV4_SOURCE, 4),
    [LDX_MSH, ETHERNET_HEADER],
    [LD_H_IND, ETHERNET_HEADER + UDP_CHECKSUM],
    [LDX_MEM, EXPECTED],
    ifEqualX('accept', 'drop'),
    'ipv6',
    [LD_LEN],
    ifGreater(longest, 'accept'),
    [LD_B_ABS, IPV6_NEXT_HEADER],
    ifEqual(UDP, undefined, 'drop'),
    [LD_H_ABS, IPV6_PAYLOAD_LENGTH],
    ...pseudoSum(IPV6_SOURCE, 16),
    [LD_H_ABS, ETHERNET_HEADER + IPV6_HEADER + UDP_CHECKSUM],
    [LDX_MEM, EXPECTED],
    ifEqualX('accept', 'drop'),
  ]);

/** Stores the folded sum of the pseudo header in EXPECTED. A holds the datagram's length, bytes; addresses begin at `from`. */
function pseudoSum(from: number, words: number): FilterPart[] {
  const parts: FilterPart[] = [[ST, SUM]];
  for (let i = 0; i < words; i++) parts.push([LD_H_ABS, from + 2 * i], [LDX_MEM, SUM], [ADD_X], [ST, SUM]);
  // The protocol counts as one more word.
  parts.push([LD_B_ABS, words === 4 ? IPV4_PROTOCOL : IPV6_NEXT_HEADER], [LDX_MEM, SUM], [ADD_X]);
  for (let fold = 0; fold < 2; fold++)
    parts.push([ST, SUM], [RSH_K, 16], [TAX], [LD_MEM, SUM], [AND_K, 0xffff], [ADD_X]);
  parts.push([ST, EXPECTED]);
  return parts;
}

/**
 * Reports whether the IP packet bytes[at, at + length) is a datagram with a partial checksum (see transport-checksum.ts),
 * which may have been merged of several although it fits the link.
 */
export function mayBeMergedDatagram(bytes: Uint8Array, at: number, length: number): boolean {
  const isIpv6 = bytes[at]! >>> 4 === 6;
  const header = isIpv6 ? IPV6_HEADER : (bytes[at]! & 15) * 4;
  if (bytes[at + (isIpv6 ? 6 : 9)] !== UDP || length < header + UDP_HEADER) return false;
  const half = (offset: number) => (bytes[at + offset]! << 8) | bytes[at + offset + 1]!;
  if (!isIpv6 && (half(6) & FRAGMENT_BITS) !== 0) return false;
  let total = UDP + (isIpv6 ? half(4) : half(2) - header);
  const from = isIpv6 ? 8 : 12;
  for (let i = 0; i < (isIpv6 ? 16 : 4); i++) total += half(from + 2 * i);
  total = (total & 0xffff) + (total >>> 16);
  total = (total & 0xffff) + (total >>> 16);
  return total === half(header + UDP_CHECKSUM);
}

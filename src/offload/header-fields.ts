/**
 * Fields of packet headers as programs read and write them: offsets from the Ethernet header, tags apart, and values
 * as a little-endian machine loads them.
 */
import { ETHERNET_HEADER, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_VLAN, MAC } from '../wire/ethernet.ts';
import { DONT_FRAGMENT, FRAGMENT_OFFSET, IPV4_HEADER, MORE_FRAGMENTS } from '../wire/ipv4.ts';

/** A 16-bit number of a packet as a little-endian machine loads it. */
export const asLoaded = (value: number): number => ((value & 0xff) << 8) | (value >>> 8);

/* Ethernet. */
export const SOURCE_MAC = MAC;
export const ETHERTYPE = 2 * MAC;
/** Offset of the tag control information of a tagged frame. */
export const TAG_CONTROL = ETHERTYPE + 2;
export const IPV4_TYPE = asLoaded(ETHERTYPE_IPV4);
export const IPV6_TYPE = asLoaded(ETHERTYPE_IPV6);
export const VLAN_TYPE = asLoaded(ETHERTYPE_VLAN);

/** Offset of the IP header. */
export const NETWORK = ETHERNET_HEADER;

/* IPv4 (RFC 791). */
/** The first byte: version 4 and a header without options. */
export const PLAIN_IPV4 = 0x40 | (IPV4_HEADER / 4);
export const TOS = NETWORK + 1;
export const TOTAL_LENGTH = NETWORK + 2;
export const IDENTIFICATION = NETWORK + 4;
/** Offset of the flags and the fragment offset. */
export const FRAGMENT = NETWORK + 6;
export const HEADER_CHECKSUM = NETWORK + 10;
/** Bits that are set in fragments only. */
export const IS_FRAGMENT = asLoaded(MORE_FRAGMENTS | FRAGMENT_OFFSET);
export const DF = asLoaded(DONT_FRAGMENT);

/* IPv6 (RFC 8200). */
/** The first byte: version 6, and the upper half of a traffic class of 0. */
export const VERSION_6 = 0x60;
export const FLOW_LABEL = NETWORK + 2;
export const PAYLOAD_LENGTH = NETWORK + 4;

/** Congestion experienced (RFC 3168): in the traffic class, and in the first two bytes of an IPv6 header. */
export const CONGESTED = 3;
export const CONGESTED_6 = asLoaded(CONGESTED << 4);

/** IP protocol numbers of packets in a tunnel without a header, by their IP version (RFC 2003, RFC 2473). */
export const IP_IN_IP = { 4: 4, 6: 41 } as const;
/** IP protocol number of GRE (RFC 2784). */
export const GRE = 47;

/* Offsets in transport headers (RFC 9293, RFC 768). */
export const TCP_DATA_OFFSET = 12;
export const UDP_LENGTH = 4;

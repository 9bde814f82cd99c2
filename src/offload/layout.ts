/**
 * What the director and its programs share: the slots of the flow table, the actions that slots name, the keys of
 * services. Numbers are little-endian, as both machines are; what comes from packets keeps their order.
 *
 * Slot of an IPv4 flow, 32 octets, half a line of the cache:
 *   0      4           8     12    16     20  24
 *   +------+-----------+-----+-----+------+---+--------+
 *   |source|destination|ports|state|action|TCP| counts |    TCP: for states kept by the program
 *   +------+-----------+-----+-----+------+---+--------+
 *
 * Slot of an IPv6 flow, 64 octets:
 *   0       16           32    36    40     44      48  56
 *   +-------+------------+-----+-----+------+-------+---+--------+
 *   |source |destination |ports|state|action|       |TCP| counts |
 *   +-------+------------+-----+-----+------+-------+---+--------+
 *
 * Action, 64 octets:
 *   0    4         8   14  20  22   24         40             56   58     60     62
 *   +----+---------+---+---+---+----+----------+--------------+----+------+------+-------+
 *   |kind|interface|to |from|MTU|VLAN|new      |tunnel source,|new |change|change|change |
 *   |    |         |MAC|MAC |   |    |address  |change of port|port|of IP |of L4 |of addr|
 *   +----+---------+---+---+---+----+----------+--------------+----+------+------+-------+
 *    The changes are those of RFC 1624 (~m + m'), folded. They depend on both ends only, not on the flow.
 */

/** Octets of a slot, and offsets in it. */
export interface SlotLayout {
  readonly size: 32 | 64;
  readonly source: number;
  readonly destination: number;
  /** Source port, destination port: the first four octets of the transport header as they are. */
  readonly ports: number;
  /** Behind the ports: both are compared in one go, as 64 bits. */
  readonly state: number;
  readonly action: number;
  /** Packets in the upper 24 bits, octets in the lower 40: one atomic addition counts both. */
  readonly counts: number;
}

export const SLOTS: Readonly<Record<4 | 6, SlotLayout>> = {
  4: { size: 32, source: 0, destination: 4, ports: 8, state: 12, action: 16, counts: 24 },
  6: { size: 64, source: 0, destination: 16, ports: 32, state: 36, action: 40, counts: 56 },
};
export const PACKET_SHIFT = 40;

/* States of a slot. Every other one is `liveState`. */
export const FREE = 0;
/** Taken out, but programs may still be using it: not to be written before a grace period has passed. */
export const DEAD = 0x80000000;
const LIVE = 0x10000;

/** State of a slot that is in force for packets of this protocol. */
export const liveState = (version: 4 | 6, protocol: number): number => LIVE | (version << 8) | protocol;

/** Slots that a flow may be in: from the one that its hash names, all are looked at. */
export const PROBES = 16;

export const ACTION = 64;
export const ACTION_KIND = 0;
export const ACTION_INTERFACE = 4;
/** Both MAC addresses, in the order of a frame: to, from. */
export const ACTION_MACS = 8;
/** The longest IP packet that this action takes, octets: the link's MTU less a tunnel's headers. */
export const ACTION_MTU = 20;
/** Tag control octets as in a frame; 0: no tag. XDP only: elsewhere the interface is the VLAN's. */
export const ACTION_VLAN = 22;
/** The last octets of IPv4 addresses are first here. */
export const ACTION_ADDRESS = 24;
export const ACTION_SOURCE = 40;
export const ACTION_PORT_CHANGE = 40;
export const ACTION_PORT = 56;
/** Of the IPv4 header: readdressing and the time to live; for a tunnel the sum of the outer header's fixed words. */
export const ACTION_HEADER_CHANGE = 58;
/** Of the transport checksum: address and port. */
export const ACTION_TRANSPORT_CHANGE = 60;
export const ACTION_ADDRESS_CHANGE = 62;

/** What is done with a packet. The kind is written last and read first: WITHDRAWN sends packets up at once. */
export const KINDS = {
  withdrawn: 0,
  /** Direct routing: only the next hop. */
  route: 1,
  /** NAT, requests. */
  toDestination: 2,
  /** NAT, replies. */
  toClient: 3,
  /** In an outer IPv4 header (RFC 2003). */
  tunnel4: 4,
  /** In an outer IPv6 header (RFC 2473). */
  tunnel6: 5,
} as const;

/* Key of the map of services: address (IPv4: its four octets, then zeros), port as in packets, protocol, version. */
export const SERVICE_KEY = 20;
export const SERVICE_ADDRESS = 0;
export const SERVICE_PORT = 16;
export const SERVICE_PROTOCOL = 18;
export const SERVICE_VERSION = 19;
export const SERVICE_VALUE = 4;

/* Flags of its values: which packets that no flow is known for go up to the director. */
/** To this end; port 0: to any port. */
export const TO_SERVICE = 1;
/** From this end; port 0: from any port. */
export const FROM_SERVER = 2;
/** Fragments, and ICMP errors (by protocol ICMP), to this address. */
export const PIECE_TO_SERVICE = 4;
/** The same from this address. */
export const PIECE_FROM_SERVER = 8;
/** Port 0, protocol 0: an address of the host itself. What real servers say to it is not the director's. */
export const OWN_ADDRESS = 16;
